package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/pgstore"
)

type Seat struct {
	annals.Entity
	Taken string
}

type SeatTaken struct{ By string }

var seats = annals.NewModel("seat", annals.On(func(s *Seat, e SeatTaken) { s.Taken = e.By }))

func take(ctx context.Context, db *annals.DB, seat, by string) error {
	_, err := db.Update(ctx, func(tx *annals.Tx) error {
		s, err := seats.Load(tx, seat)
		if errors.Is(err, annals.ErrNotFound) {
			s, err = seats.Create(tx, seat)
		}
		if err != nil {
			return err
		}
		if s.Taken != "" {
			return fmt.Errorf("%s is taken by %s", seat, s.Taken)
		}
		return s.Record(SeatTaken{by})
	})
	return err
}

func TestTransactionCommitsEventsAndRowsTogetherOrNeither(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	runSQL(t, url, `CREATE TABLE bookings (seat text PRIMARY KEY, by text)`)
	for i, commit := range []bool{false, true} {
		tx := begin(t, pool, pgx.ReadCommitted)
		log := s.In(tx)
		if err := take(ctx, annals.New(log, nil), "12a", "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO bookings VALUES ('12a', 'ann')`); err != nil {
			t.Fatal(err)
		}
		if n := len(readAll(t, s)); n != 0 {
			t.Fatalf("%d events can be read before COMMIT", n)
		}
		if !commit {
			if err := tx.Rollback(ctx); err != nil {
				t.Fatal(err)
			}
		} else if err := log.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		var rows, waiting int
		if err := pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM bookings), (SELECT count(*) FROM annals.inbox)`).Scan(&rows, &waiting); err != nil {
			t.Fatal(err)
		}
		if events := len(readAll(t, s)); rows != i || events != i || waiting != 0 {
			t.Errorf("with commit %v there are %d rows, %d events, %d waiting", commit, rows, events, waiting)
		}
		if receipts, err := log.Receipts(ctx); commit {
			if err != nil || len(receipts) != 1 || receipts[0].First != 1 || receipts[0].Versions[0] != 1 || receipts[0].Durability != "fsync" {
				t.Errorf("Receipts returned %+v and %v", receipts, err)
			}
		} else if !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("Receipts of a transaction that was rolled back returned %v", err)
		}
	}
}

func TestTransactionConflictIsReportedAtCommit(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	mustAppend(t, s, batch(event("a-1", "A")))
	for name, c := range map[string]driver.Condition{
		"stream": driver.StreamAt("a-1", 1),
		"absent": driver.StreamAbsent("a-2"),
		"tag":    driver.NoneAfter(tagged("k:v"), 1),
		"type":   driver.NoneAfter(driver.Query{Items: []driver.Item{{Types: []string{"B"}}}}, 1),
	} {
		t.Run(name, func(t *testing.T) {
			url := newURL(t)
			s, pool := openStore(t, url, nil), openPool(t, url)
			mustAppend(t, s, batch(event("a-1", "A")))
			tx := begin(t, pool, pgx.ReadCommitted)
			log := s.In(tx)
			mustAppend(t, log, batch(event("x-1", "X")))
			mustAppend(t, log, driver.Batch{Events: []driver.Event{event("x-2", "X")}, Conditions: []driver.Condition{driver.StreamPresent("a-1"), c}})
			mustAppend(t, s, batch(event("a-1", "B", "k:v"), event("a-2", "B")))
			err := log.Commit(ctx)
			var conflict *driver.ConflictError
			if !errors.As(err, &conflict) {
				t.Fatalf("Commit returned %v", err)
			}
			if conflict.Index != 1 || conflict.Condition.String() != c.String() || conflict.Head != 4 { // x-1 was judged in, at 4
				t.Errorf("the conflict is %+v", conflict)
			}
			if n := len(readAll(t, s)); n != 3 {
				t.Errorf("%d events", n)
			}
		})
	}
	// One that conflicts already is refused at once, and the transaction can go on.
	tx := begin(t, pool, pgx.ReadCommitted)
	log := s.In(tx)
	if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event("a-1", "B")}, Conditions: []driver.Condition{driver.StreamAbsent("a-1")}}); !isConflict(err) {
		t.Errorf("Append returned %v", err)
	}
	mustAppend(t, log, driver.Batch{Events: []driver.Event{event("a-1", "B")}, Conditions: []driver.Condition{driver.StreamAt("a-1", 1)}})
	if err := log.Commit(ctx); err != nil {
		t.Error(err)
	}
}

func TestUpdateCommitsBothOrNeither(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s := openStore(t, url, nil)
	runSQL(t, url, `CREATE TABLE bookings (seat text PRIMARY KEY)`)
	book := func(seat string, then error) error {
		return s.Update(ctx, func(tx pgx.Tx, log *pgstore.TxLog) error {
			if _, err := tx.Exec(ctx, `INSERT INTO bookings VALUES ($1)`, seat); err != nil {
				return err
			}
			_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event("seat-"+seat, "Taken")}, Conditions: []driver.Condition{driver.StreamAbsent("seat-" + seat)}})
			return errors.Join(err, then)
		})
	}
	if err := book("1", nil); err != nil {
		t.Fatal(err)
	}
	if err := book("2", errHook); !errors.Is(err, errHook) {
		t.Errorf("Update returned %v", err)
	}
	mustAppend(t, s, batch(event("seat-3", "Taken")))
	if err := book("3", nil); !isConflict(err) {
		t.Errorf("Update returned %v", err)
	}
	var rows int
	if err := openPool(t, url).QueryRow(ctx, `SELECT count(*) FROM bookings`).Scan(&rows); err != nil || rows != 1 || len(readAll(t, s)) != 2 {
		t.Errorf("%d rows, %d events (%v)", rows, len(readAll(t, s)), err)
	}
}

func TestTransactionAtAnotherIsolationLevelIsRefused(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx := begin(t, pool, level)
		_, err := s.In(tx).Append(ctx, batch(event("a-1", "A")))
		if err == nil || !contains(err, string(level), "READ COMMITTED") {
			t.Errorf("Append at %s returned %v", level, err)
		}
		if err := tx.Commit(ctx); err != nil {
			t.Errorf("the transaction cannot go on: %v", err)
		}
		// The functions of the schema do not judge at it either.
		tx = begin(t, pool, level)
		_, err = tx.Exec(ctx, `INSERT INTO annals.inbox OVERRIDING SYSTEM VALUE SELECT 1, NULL, '{1}', '{0}', '{NULL}', '{}', '{0}', '{NULL}', '{00000000-0000-0000-0000-000000000001}',
			'{A}', '{""}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{""}', '{""}', '{""}', '{""}', '{""}',
			'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'`)
		if err == nil {
			err = tx.Commit(ctx)
		}
		if !contains(err, "AN003") {
			t.Errorf("the inbox at %s answered %v", level, err)
		}
	}
	if n := len(readAll(t, s)); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestTransactionRefusesConditionsOverWhatWaitsInIt(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	tx := begin(t, pool, pgx.ReadCommitted)
	log := s.In(tx)
	first := batch(event("a-1", "A", "k:v"))
	mustAppend(t, log, first)
	for _, c := range []driver.Condition{driver.StreamAbsent("a-1"), driver.NoneAfter(tagged("k:v"), 0)} {
		_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event("b-1", "B")}, Conditions: []driver.Condition{c}})
		if err == nil || !contains(err, "waits in the same transaction") {
			t.Errorf("Append under %s returned %v", c, err)
		}
	}
	if r := mustAppend(t, log, first); !r.Repeated {
		t.Error("the same batch again is not said to be repeated")
	}
	if r := mustAppend(t, log, batch(event("a-1", "B"))); r.Versions[0] != 2 || r.First != 0 || r.Durability != "waits for COMMIT" {
		t.Errorf("the receipt before COMMIT is %+v", r)
	}
	if err := log.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Receipt(ctx, first.Events[0].ID); err != nil || r.First != 1 {
		t.Errorf("Receipt returned %+v and %v", r, err)
	}
}

// A transaction that sleeps before its COMMIT holds nobody up, and its events
// are ordered behind those that were committed meanwhile. One that sleeps while
// it holds the log's lock is waited for. Neither is ever skipped.
func TestSleepingCommitterIsOrderedAfterOrWaitedFor(t *testing.T) {
	const asleep = 5 * time.Second
	for _, holds := range []bool{false, true} {
		t.Run(fmt.Sprintf("holds the lock %v", holds), func(t *testing.T) {
			t.Parallel()
			ctx, url := newContext(t), newURL(t)
			a, b, pool := openStore(t, url, nil), openStore(t, url, nil), openPool(t, url)
			var wg sync.WaitGroup
			defer wg.Wait()
			seen := make(chan driver.Record, 100)
			following, stop := context.WithCancel(ctx)
			defer stop()
			wg.Go(func() { follow(following, b, seen) })

			tx := begin(t, pool, pgx.ReadCommitted)
			log := a.In(tx)
			mustAppend(t, log, batch(event("slow-1", "Slow")))
			if holds {
				if _, err := tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
					t.Fatal(err)
				}
			}
			woke := make(chan time.Time, 1)
			wg.Go(func() {
				pause := time.NewTimer(asleep)
				defer pause.Stop()
				<-pause.C
				woke <- time.Now()
				if err := log.Commit(ctx); err != nil {
					t.Errorf("Commit: %v", err)
				}
			})
			r := mustAppend(t, b, batch(event("fast-1", "Fast")))
			done := time.Now()
			at := <-woke
			if holds && done.Before(at) {
				t.Error("an append did not wait for the lock")
			}
			if !holds && !done.Before(at) {
				t.Error("a transaction that sleeps held an append up")
			}
			if want := driver.Position(1); holds != (r.First > want) {
				t.Errorf("the append is at %d", r.First)
			}
			for want := driver.Position(1); want <= 2; want++ {
				if got := <-seen; got.Position != want || (got.Type == "Slow") != (holds == (want == 1)) {
					t.Errorf("the subscriber saw %s at %d, want position %d", got.Type, got.Position, want)
				}
			}
		})
	}
}

// follow sends every record as it comes.
func follow(ctx context.Context, log driver.Log, to chan<- driver.Record) {
	var at driver.Position
	for {
		if _, err := log.Wait(ctx, at); err != nil {
			return
		}
		for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: at}) {
			if err != nil {
				return
			}
			to <- r
			at = r.Position
		}
	}
}

// Racing transactions, and appends beside them, take each seat once.
func TestRacingTransactionsTakeEachSeatOnce(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	const writers, all = 6, 30
	runSQL(t, url, `CREATE TABLE bookings (seat text PRIMARY KEY, by text)`)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for w := range writers {
		s, pool := openStore(t, url, &pgstore.Options{MaxConns: 2}), openPool(t, url)
		wg.Go(func() {
			for n := range all {
				seat := fmt.Sprint(n)
				tx, err := pool.Begin(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				log := s.In(tx)
				if err = take(ctx, annals.New(log, nil), seat, fmt.Sprint(w)); err == nil {
					// Without a key, the row would be there twice if two could win.
					_, err = tx.Exec(ctx, `INSERT INTO bookings VALUES ($1 || '/' || $2, $2)`, seat, fmt.Sprint(w))
				}
				if err == nil {
					err = log.Commit(ctx)
				}
				if err == nil {
					mu.Lock()
					won[seat]++
					mu.Unlock()
				} else {
					_ = tx.Rollback(ctx)
					if !isConflict(err) && !contains(err, "is taken by") {
						t.Errorf("take seat %s: %v", seat, err)
					}
				}
			}
		})
	}
	wg.Wait()
	s := openStore(t, url, nil)
	if n := len(readAll(t, s)); n != all {
		t.Errorf("%d events for %d seats", n, all)
	}
	var rows int
	if err := openPool(t, url).QueryRow(ctx, `SELECT count(*) FROM bookings`).Scan(&rows); err != nil || rows != all {
		t.Errorf("%d rows for %d seats (%v)", rows, all, err)
	}
	for seat, n := range won {
		if n != 1 {
			t.Errorf("seat %s was taken %d times", seat, n)
		}
	}
	for err := range s.Verify(ctx, nil) {
		t.Error(err)
	}
}
