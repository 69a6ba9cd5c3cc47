package sqlitestore_test

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// large is an event of about so many bytes, to fill the -wal file soon.
func large(stream string, size int) driver.Event {
	e := event(stream)
	e.Data = []byte(`"` + strings.Repeat("x", size) + `"`)
	return e
}

func walBytes(t *testing.T, s *sqlitestore.Store) int64 {
	t.Helper()
	info, err := os.Stat(s.Path() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Readers that come one upon the other keep SQLite by itself from ever
// beginning the -wal file anew.
func TestTheWALFileStaysSmallWhileManyRead(t *testing.T) {
	s, ctx := open(t, newFile(t), nil), testContext(t)
	for range 40 {
		appendTo(t, s, large("item-1", 10_000))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := collect(ctx, s, driver.Query{}, driver.ReadOptions{UpTo: 40}); err != nil {
					t.Errorf("Read: %v", err)
					return
				}
			}
		})
	}
	most := int64(0)
	for range 100 {
		appendTo(t, s, large("item-2", 900_000))
		most = max(most, walBytes(t, s))
	}
	stop.Store(true)
	wg.Wait()
	if most > 75<<20 {
		t.Errorf("the -wal file grew to %d MB", most>>20)
	}
	t.Logf("the -wal file grew to %d MB while 90 MB were appended", most>>20)
}

func TestATransactionThatStaysOpenHoldsUpNoAppend(t *testing.T) {
	s, ctx := open(t, newFile(t), nil), testContext(t)
	appendTo(t, s, event("item-1"))
	tx, err := s.DB().BeginTx(ctx, nil)
	if err == nil { // a transaction of the application that only reads
		err = tx.Rollback()
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.DB().QueryContext(ctx, `SELECT position FROM annals_records`)
	if err != nil || !rows.Next() {
		t.Fatalf("a read of the application: %v", err)
	}
	defer rows.Close()
	for range 60 {
		appendTo(t, s, large("item-2", 900_000))
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for range 25 {
		appendTo(t, s, large("item-2", 900_000))
	}
	if size := walBytes(t, s); size > 40<<20 {
		t.Errorf("the -wal file has %d MB after the transaction has ended", size>>20)
	}
	equal(t, "faults", faults(t, s), []error(nil))
}
