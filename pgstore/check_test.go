package pgstore_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/annals-db/annals/driver"
)

// checkHistory judges every condition that the log keeps again, over the whole
// history, and checks that positions, versions and times follow one another.
func checkHistory(t testing.TB, records []driver.Record) {
	t.Helper()
	versions := map[string]uint64{}
	for i := range records {
		r := &records[i]
		if r.Position != driver.Position(i+1) {
			t.Fatalf("record %d is at position %d", i+1, r.Position)
		}
		if i > 0 && r.Time.Before(records[i-1].Time) {
			t.Errorf("position %d is before its predecessor in time", r.Position)
		}
		for _, c := range r.Conditions {
			if broken := brokenBy(records[:i], versions, c); broken != "" {
				t.Errorf("position %d was appended although %s: %s", r.Position, c, broken)
			}
		}
		if r.Stream == "" {
			continue
		}
		versions[r.Stream]++
		if r.Version != versions[r.Stream] {
			t.Errorf("position %d is version %d of %s, want %d", r.Position, r.Version, r.Stream, versions[r.Stream])
		}
	}
}

func brokenBy(before []driver.Record, versions map[string]uint64, c driver.Condition) string {
	v := versions[c.Stream]
	switch {
	case c.Kind == driver.StreamAtKind && v != c.Version, c.Kind == driver.StreamAbsentKind && v != 0, c.Kind == driver.StreamPresentKind && v == 0:
		return fmt.Sprintf("it was at version %d", v)
	case c.Kind == driver.NoneAfterKind:
		for i := int(c.After); i < len(before); i++ {
			if c.Query.Matches(&before[i].Event) {
				return fmt.Sprintf("position %d matches", before[i].Position)
			}
		}
	}
	return ""
}

// acknowledged is what writers were told.
type acknowledged struct {
	mu       sync.Mutex
	receipts map[driver.ID]driver.Receipt // by the ID of the batch's first event
}

func (a *acknowledged) add(b driver.Batch, r driver.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.receipts == nil {
		a.receipts = map[driver.ID]driver.Receipt{}
	}
	a.receipts[b.Events[0].ID] = r
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.receipts)
}

// check checks that all that was acknowledged is in the log, where the receipt says.
func (a *acknowledged) check(t testing.TB, records []driver.Record) {
	t.Helper()
	for id, r := range a.receipts {
		if int(r.First) > len(records) || records[r.First-1].ID != id || records[r.First-1].Version != r.Versions[0] {
			t.Errorf("the event %s, acknowledged at %d as version %d, is not there", id, r.First, r.Versions[0])
		}
	}
}
