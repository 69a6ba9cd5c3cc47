// Package mutant holds the switches that break filestore on purpose, so that
// the simulation can show that it would find each fault. No switch is ever on
// outside tests.
package mutant

// Set says which faults an engine has. The zero value has none.
type Set struct {
	AckBeforeSync        bool // appends are answered when written, before they are synced
	NoDirSync            bool // directories are never synced
	KeepDebris           bool // what lies behind a torn tail is neither wiped nor told apart from what is written later
	VisibleBeforeDurable bool // reads see records when written, before they are synced
	IDsAfterConditions   bool // conditions are judged before IDs are looked at
	MarkBeforeData       bool // the durable mark is written before the data is synced
}

// Named returns each fault alone, by name.
func Named() map[string]Set {
	return map[string]Set{
		"AckBeforeSync":        {AckBeforeSync: true},
		"NoDirSync":            {NoDirSync: true},
		"KeepDebris":           {KeepDebris: true},
		"VisibleBeforeDurable": {VisibleBeforeDurable: true},
		"IDsAfterConditions":   {IDsAfterConditions: true},
		"MarkBeforeData":       {MarkBeforeData: true},
	}
}
