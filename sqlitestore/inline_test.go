package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// counting is a hook that counts the events of each stream in the table.
func counting(ctx context.Context, tx any, records []driver.Record) error {
	for _, r := range records {
		if _, err := tx.(*sql.Tx).ExecContext(ctx, countOne, r.Stream); err != nil {
			return err
		}
	}
	return nil
}

// together appends batches in one transaction: they wait while another one is open.
func together(t *testing.T, s *sqlitestore.Store, batches ...driver.Batch) (answers []func() (driver.Receipt, error)) {
	t.Helper()
	err := s.Update(testContext(t), func(*sql.Tx, driver.Log) error {
		for _, b := range batches {
			answers = append(answers, s.Submit(testContext(t), b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func TestAHookSeesTheRecordsAndCommitsWithThem(t *testing.T) {
	s := withTable(t)
	var seen []driver.Record
	remove := s.Inline(func(ctx context.Context, tx any, all []driver.Record) error {
		seen = append(seen, all...)
		var n int
		if err := tx.(*sql.Tx).QueryRowContext(ctx, `SELECT version FROM annals_streams WHERE stream = ?`, all[0].Stream).Scan(&n); err != nil {
			return err
		}
		equal(t, "the version that SQL sees", uint64(n), all[len(all)-1].Version)
		return counting(ctx, tx, all)
	})
	b := driver.Batch{Events: []driver.Event{event("item-1", "a:1"), event("item-1")}, Conditions: []driver.Condition{driver.StreamAbsent("item-1")}}
	b.Events[0].Occurred = time.Date(2020, 1, 1, 0, 0, 0, 5, time.FixedZone("", 3600))
	for range 2 { // the second is a repetition
		if _, err := s.Append(testContext(t), b); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, s, event("item-1"))
	equal(t, "what the hook saw", seen, records(t, s, driver.Query{}))
	equal(t, "count", counted(t, s, "item-1"), 3)
	remove()
	appendTo(t, s, event("item-1"))
	equal(t, "count after remove", counted(t, s, "item-1"), 3)
}

func TestAHookThatFailsFailsItsOwnAppendOnly(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func(tx *sql.Tx) error{
		"returns an error": func(*sql.Tx) error { return boom },
		"has bad SQL":      func(tx *sql.Tx) error { _, err := tx.Exec(`INSERT INTO nowhere VALUES (1)`); return err },
		"panics":           func(*sql.Tx) error { panic("boom") },
		"rolls back":       func(tx *sql.Tx) error { return tx.Rollback() },
		"rolls back in SQL and fails": func(tx *sql.Tx) error {
			_, err := tx.Exec(`ROLLBACK`)
			return errors.Join(boom, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := withTable(t)
			s.Inline(func(ctx context.Context, tx any, all []driver.Record) error {
				if err := counting(ctx, tx, all); err != nil {
					return err
				}
				if strings.HasPrefix(all[0].Stream, "bad") {
					return fail(tx.(*sql.Tx))
				}
				return nil
			})
			appendTo(t, s, event("item-1", "a:1"))
			var batches []driver.Batch
			for i := range 9 {
				b := batch(event("item-1", "a:1"), event(fmt.Sprintf("item-%d", i), "b:2"))
				if i%4 == 1 {
					b = batch(event("bad-1", "c:3"), event("item-1", "a:1"))
				}
				batches = append(batches, b)
			}
			last := driver.Position(1)
			for i, answer := range together(t, s, batches...) {
				r, err := answer()
				if i%4 == 1 {
					if err == nil {
						t.Errorf("batch %d was appended at %d though its hook failed", i, r.First)
					}
					continue
				}
				if err != nil || r.First != last+1 {
					t.Fatalf("batch %d is at %d with %v, want %d", i, r.First, err, last+1)
				}
				last = r.Last
			}
			equal(t, "records", len(records(t, s, driver.Query{})), 1+7*2)
			equal(t, "records of the stream that failed", len(records(t, s, ofStream("bad-1"))), 0)
			equal(t, "records by tag", len(records(t, s, tagged("a:1"))), 8)
			equal(t, "count", counted(t, s, "item-1"), len(records(t, s, ofStream("item-1"))))
			equal(t, "count of the stream that failed", counted(t, s, "bad-1"), 0)
			var many []driver.Event // so that the hash tree is stored
			for range 1100 {
				many = append(many, event("item-many"))
			}
			appendTo(t, s, many...)
			equal(t, "faults", faults(t, s), []error(nil))
		})
	}
}

func TestAHookRunsInsideATransactionOfTheCaller(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	fail := false
	s.Inline(func(ctx context.Context, tx any, all []driver.Record) error {
		if err := counting(ctx, tx, all); err != nil || !fail {
			return err
		}
		return errors.New("boom")
	})
	err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
		appendTo(t, log, event("item-1"))
		fail = true
		if _, err := log.Append(ctx, batch(event("item-1"))); err == nil {
			t.Error("an append whose hook fails is taken")
		}
		fail = false
		appendTo(t, log, event("item-1"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "versions", records(t, s, ofStream("item-1"))[1].Version, uint64(2))
	equal(t, "count", counted(t, s, "item-1"), 2)
	equal(t, "faults", faults(t, s), []error(nil))
}

func TestTheEndOfAnAppendsContextDoesNotReachItsHook(t *testing.T) {
	s := withTable(t)
	ctx, cancel := context.WithCancel(testContext(t))
	s.Inline(func(ctx context.Context, tx any, all []driver.Record) error {
		cancel()
		return counting(ctx, tx, all)
	})
	_, err := s.Append(ctx, batch(event("item-1")))
	if err != nil && !errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("Append returned %v", err)
	}
	appendTo(t, s, event("item-1"))
	equal(t, "count", counted(t, s, "item-1"), 2)
}

func TestRemovingAHookWaitsForACallUnderWay(t *testing.T) {
	s := withTable(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	remove := s.Inline(func(context.Context, any, []driver.Record) error {
		close(entered)
		<-leave
		done.Store(true)
		return nil
	})
	answer := s.Submit(testContext(t), batch(event("item-1")))
	<-entered
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		remove()
		if !done.Load() {
			t.Error("remove returned while the hook ran")
		}
	}()
	close(leave)
	<-removed
	if _, err := answer(); err != nil {
		t.Error(err)
	}
}
