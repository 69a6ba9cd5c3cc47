// Package mutant breaks filestore and collab on purpose, one rule at a time, so that the
// simulation that must find such defects can be shown to find them. Only tests
// set a switch; they do so before they open a store.
package mutant

// The switches. All are false outside such a test.
var (
	AckBeforeSync        bool // an append is acknowledged before its data is synced
	NoDirSync            bool // directories are not synced after files are made or renamed
	KeepDebris           bool // what a torn append left stays in the segment, and is taken for part of a later one
	VisibleBeforeDurable bool // readers see records before they are synced
	IDsAfterConditions   bool // conditions are looked at before IDs
	MarkBeforeData       bool // the durable mark is written before the data it speaks of is synced
)

// The switches of package collab.
var (
	TieByArrival  bool // an editor puts what arrives last last, whoever was accepted first
	BytePositions bool // lengths of what is inserted are counted in bytes
	DropRebase    bool // the authority rebases over all but the last of what came between
)
