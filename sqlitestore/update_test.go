package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

func withTable(t *testing.T) *sqlitestore.Store {
	s := open(t, newFile(t), nil)
	if _, err := s.DB().Exec(`CREATE TABLE counts (stream TEXT PRIMARY KEY, n INTEGER NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return s
}

const countOne = `INSERT INTO counts VALUES (?, 1) ON CONFLICT (stream) DO UPDATE SET n = n + 1`

func counted(t *testing.T, s *sqlitestore.Store, stream string) (n int) {
	t.Helper()
	if err := s.DB().QueryRow(`SELECT ifnull(sum(n), 0) FROM counts WHERE stream = ?`, stream).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEventsAndTablesAreCommittedTogether(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
		r, err := log.Append(ctx, batch(event("item-1"), event("item-1", "a:1")))
		if err != nil {
			return err
		}
		equal(t, "receipt", r.Last, driver.Position(2))
		equal(t, "records inside", len(records(t, log, driver.Query{})), 2)
		equal(t, "records inside, by stream", len(records(t, log, ofStream("item-1"))), 2)
		equal(t, "records inside, by tag", len(records(t, log, tagged("a:1"))), 1)
		equal(t, "head inside", head(t, log), driver.Position(2))
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM annals_events WHERE stream = 'item-1'`).Scan(&n); err != nil || n != 2 {
			t.Errorf("the transaction's SQL sees %d records and %v", n, err)
		}
		equal(t, "records outside", len(records(t, s, driver.Query{})), 0)
		equal(t, "head outside", head(t, s), driver.Position(0))
		_, err = tx.Exec(countOne, "item-1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "records", len(records(t, s, driver.Query{})), 2)
	equal(t, "count", counted(t, s, "item-1"), 1)
	equal(t, "next position", appendTo(t, s, event("item-1")).First, driver.Position(3))
	equal(t, "faults", faults(t, s), []error(nil))
}

func TestNothingIsLeftOfATransactionThatFails(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fn   func(ctx context.Context, tx *sql.Tx, log driver.Log) error
		want error
	}{
		"an error of the function": {func(context.Context, *sql.Tx, driver.Log) error { return boom }, boom},
		"a context that has ended": {func(ctx context.Context, _ *sql.Tx, _ driver.Log) error {
			ctx.Value(cancelKey{}).(context.CancelFunc)()
			return nil
		}, context.Canceled},
		"a rollback by the function": {func(_ context.Context, tx *sql.Tx, _ driver.Log) error { return tx.Rollback() }, nil},
		"a rollback in SQL": {func(_ context.Context, tx *sql.Tx, log driver.Log) error {
			_, err := tx.Exec(`ROLLBACK`)
			if _, err := log.Append(testContext(t), batch(event("item-1"))); err == nil {
				t.Error("an append outside any transaction is taken")
			}
			return err
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := withTable(t)
			appendTo(t, s, event("item-0"))
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			ctx = context.WithValue(ctx, cancelKey{}, cancel)
			var kept driver.Log
			err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
				kept = log
				if _, err := log.Append(ctx, batch(event("item-1", "a:1"), event("item-0"))); err != nil {
					return err
				}
				if _, err := tx.Exec(countOne, "item-1"); err != nil {
					return err
				}
				equal(t, "records inside", len(records(t, log, driver.Query{})), 3)
				return c.fn(ctx, tx, log)
			})
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Update returned %v, want %v", err, c.want)
			}
			if _, err := kept.Append(testContext(t), batch(event("item-1"))); err == nil {
				t.Error("the log of a transaction that has ended takes an append")
			}
			equal(t, "records", len(records(t, s, driver.Query{})), 1)
			equal(t, "count", counted(t, s, "item-1"), 0)
			// The names that were made in vain are made again for others.
			r := appendTo(t, s, event("item-2", "b:1"), event("item-0"))
			equal(t, "versions", r.Versions, []uint64{1, 2})
			equal(t, "by tag", len(records(t, s, tagged("b:1"))), 1)
			err = s.Update(testContext(t), func(_ *sql.Tx, log driver.Log) error {
				equal(t, "records in another transaction", records(t, log, driver.Query{}), records(t, s, driver.Query{}))
				return nil
			})
			equal(t, "error", err, error(nil))
			equal(t, "faults", faults(t, s), []error(nil))
		})
	}
}

type cancelKey struct{}

func TestAConflictInsideATransactionIsKnownAtOnce(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	appendTo(t, s, event("item-1", "a:1"))
	err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
		_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event("item-2")}, Conditions: []driver.Condition{driver.StreamAbsent("item-1")}})
		equal(t, "version", failsAs[*driver.ConflictError](t, err).Version, uint64(1))
		_, err = log.Append(ctx, driver.Batch{Events: []driver.Event{event("item-2")}, Conditions: []driver.Condition{driver.NoneAfter(tagged("a:1"), 0)}})
		equal(t, "position", failsAs[*driver.ConflictError](t, err).Position, driver.Position(1))
		_, err = log.Append(ctx, driver.Batch{Events: []driver.Event{event("item-2")}, Conditions: []driver.Condition{driver.StreamAt("item-1", 1)}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "records", len(records(t, s, driver.Query{})), 2)
}

func TestAppendsOfOthersWaitForATransactionAndGoOnAfterIt(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	started := make(chan struct{})
	var wg sync.WaitGroup
	err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
		for range 32 {
			wg.Go(func() {
				started <- struct{}{}
				if _, err := s.Append(ctx, batch(event("item-other"))); err != nil {
					t.Errorf("Append: %v", err)
				}
			})
		}
		for range 32 {
			<-started
		}
		_, err := log.Append(ctx, batch(event("item-1")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	all := records(t, s, driver.Query{})
	equal(t, "records", len(all), 33)
	equal(t, "the first", all[0].Stream, "item-1")
}

func TestTransactionsAndAppendsOfManyDoNotLoseAnything(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	other := open(t, s.Path(), nil)
	const writers, each = 8, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				stream := fmt.Sprintf("item-%d", w)
				var err error
				handle := s
				if i%3 == 0 {
					handle = other
				}
				if w%2 == 0 {
					err = handle.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
						if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event(stream), event("shared")}, Conditions: []driver.Condition{driver.StreamAt(stream, uint64(i))}}); err != nil {
							return err
						}
						_, err := tx.Exec(countOne, stream)
						return err
					})
				} else {
					_, err = handle.Append(ctx, driver.Batch{Events: []driver.Event{event(stream), event("shared")}, Conditions: []driver.Condition{driver.StreamAt(stream, uint64(i))}})
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	equal(t, "records", len(records(t, s, driver.Query{})), 2*writers*each)
	equal(t, "shared", len(records(t, other, ofStream("shared"))), writers*each)
	equal(t, "count", counted(t, s, "item-2"), each)
	equal(t, "faults", faults(t, s), []error(nil))
}

type counter struct {
	annals.Entity
	N int
}

type ticked struct{ By int }

var counters = annals.NewModel("sqlcounter", annals.On(func(c *counter, e ticked) { c.N += e.By }))

func TestTheModellingAPIWorksInsideATransaction(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	tick := func(id string) error {
		return s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
			db := annals.New(log, nil)
			_, err := db.Update(ctx, func(atx *annals.Tx) error {
				c, err := counters.Load(atx, id)
				if errors.Is(err, annals.ErrNotFound) {
					c, err = counters.Create(atx, id)
				}
				if err != nil {
					return err
				}
				return c.Record(ticked{1})
			})
			if err != nil {
				return err
			}
			c, err := counters.Load(db.View(ctx), id)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO counts VALUES (?1, ?2) ON CONFLICT (stream) DO UPDATE SET n = ?2`, id, c.N)
			return err
		})
	}
	for range 250 { // some snapshots are kept on the way
		if err := tick("a"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := counters.Load(annals.New(s, nil).View(ctx), "a")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the entity", c.N, 250)
	equal(t, "the table", counted(t, s, "a"), 250)
}

func TestAPanicInATransactionLeavesTheStoreUsable(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	func() {
		defer func() { recover() }()                          //nolint:errcheck // it panics on purpose
		s.Update(ctx, func(_ *sql.Tx, log driver.Log) error { //nolint:errcheck // it panics
			appendTo(t, log, event("item-1"))
			panic("boom")
		})
	}()
	equal(t, "first position", appendTo(t, s, event("item-1")).First, driver.Position(1))
}

func TestRowsLeftOpenInATransactionDoNotStayBehind(t *testing.T) {
	s, ctx := withTable(t), testContext(t)
	appendTo(t, s, event("item-1"), event("item-2"), event("item-3"))
	for round := range 20 {
		err := s.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
			rows, err := tx.Query(`SELECT position FROM annals_records`)
			if err != nil || !rows.Next() {
				return fmt.Errorf("no rows: %w", err)
			}
			appendTo(t, log, event("item-1"))
			if round%2 == 1 {
				return errSkip
			}
			return nil // rows stays open
		})
		if err != nil && !errors.Is(err, errSkip) {
			t.Fatal(err)
		}
		appendTo(t, s, event("item-2"))
	}
	equal(t, "records", len(records(t, s, driver.Query{})), 3+10+20)
	equal(t, "faults", faults(t, s), []error(nil))
}

var errSkip = errors.New("skip")
