package sqlitestore_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// The tree is stored at every 1,024th position, however the batches lie.
func TestTreeHeadsOfALongLogAreThoseOfAnyStore(t *testing.T) {
	s, ctx := open(t, newFile(t), nil), testContext(t)
	same := memstore.New(nil)
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 9 {
		b := driver.Batch{Time: at.Add(time.Duration(i))}
		for range 100 + 100*i {
			b.Events = append(b.Events, event("item-1", "a:1"))
		}
		for _, log := range []driver.Log{s, same} {
			if _, err := log.Append(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range []driver.Position{4500, 0, 1, 1023, 1024, 1025, 3000, 2049, 2048, 2047, 4096, 4499} {
		got, err := s.TreeHead(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		want, err := same.TreeHead(ctx, p)
		if err != nil || got != want {
			t.Errorf("the tree head at %d is %x, want %x (%v)", p, got, want, err)
		}
	}
	equal(t, "faults", faults(t, s), []error(nil))
	equal(t, "stored parts", dump(t, s, `SELECT position FROM annals_tree ORDER BY position`), " position=1024\n position=2048\n position=3072\n position=4096\n")
}
