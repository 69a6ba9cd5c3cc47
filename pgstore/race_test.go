package pgstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// before is a tracer that does something right before the first statement that
// has a text in it is sent.
type before struct {
	text string
	do   func()
	done atomic.Bool
}

func (b *before) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, b.text) && !b.done.Swap(true) {
		b.do()
	}
	return ctx
}

func (b *before) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// openTraced opens a store that does b.
func openTraced(t testing.TB, url string, b *before) *pgstore.Store {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = b
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := pgstore.FromPool(context.Background(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// What is in the way of a Save goes before the Save has looked what it is.
func TestSaveThatWasRefusedIsNeverDone(t *testing.T) {
	// The key "lease" is another's, and do comes before the store looks at it.
	setUp := func(t *testing.T, do func(ctx context.Context, url string, other driver.State)) (ctx context.Context, own, other driver.State) {
		ctx, url := newContext(t), newURL(t)
		other = openStore(t, url, nil).State()
		if _, err := other.Save(ctx, "lease", []byte("other"), 0); err != nil {
			t.Fatal(err)
		}
		own = openTraced(t, url, &before{text: "SELECT value, revision", do: func() { do(ctx, url, other) }}).State()
		return ctx, own, other
	}
	unreadable := func(_ context.Context, url string, _ driver.State) {
		runSQL(t, url, `ALTER TABLE annals.state RENAME TO away`)
	}
	t.Run("the key was deleted meanwhile", func(t *testing.T) {
		ctx, own, other := setUp(t, func(ctx context.Context, _ string, other driver.State) {
			if err := other.Delete(ctx, "lease", driver.AnyRevision); err != nil {
				t.Error(err)
			}
		})
		if revision, err := own.Save(ctx, "lease", []byte("own"), 0); !errors.Is(err, driver.ErrRevision) {
			t.Errorf("Save returned revision %d and %v", revision, err)
		}
		if _, _, err := other.Load(ctx, "lease"); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("Load returned %v", err)
		}
	})
	t.Run("the server cannot be asked", func(t *testing.T) {
		ctx, own, _ := setUp(t, unreadable)
		if revision, err := own.Save(ctx, "lease", []byte("own"), 0); err == nil {
			t.Errorf("Save returned revision %d and no error", revision)
		}
	})
	t.Run("the server cannot be asked what Delete found", func(t *testing.T) {
		ctx, own, _ := setUp(t, unreadable)
		if err := own.Delete(ctx, "lease", 0); err == nil {
			t.Error("Delete of a key that is there, expected absent, returned no error")
		}
	})
}

// What a transaction sees of itself, or no longer sees of others, is not where
// the log stands.
func TestTransactionThatReadsDoesNotMoveTheHeadOfTheStore(t *testing.T) {
	t.Run("rolled back with its lock held", func(t *testing.T) {
		ctx, url := newContext(t), newURL(t)
		s, pool := openStore(t, url, nil), openPool(t, url)
		tx := begin(t, pool, pgx.ReadCommitted)
		log := s.In(tx)
		mustAppend(t, log, batch(event("a-1", "A")))
		if _, err := tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
		if info, err := log.Info(ctx); err != nil || info.Head != 1 {
			t.Fatalf("Info returned %+v and %v", info, err)
		}
		if n := len(readAll(t, log)); n != 1 {
			t.Fatalf("the transaction reads %d events", n)
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(readAll(t, s)); n != 0 {
			t.Errorf("%d events", n)
		}
		waiting, stop := context.WithCancel(ctx)
		stop()
		if head, err := s.Wait(waiting, 0); err == nil {
			t.Errorf("Wait returned %d", head)
		}
	})
	t.Run("in a hook that fails", func(t *testing.T) {
		ctx, url := newContext(t), newURL(t)
		s := openStore(t, url, nil)
		remove := s.Inline(func(ctx context.Context, tx any, _ []driver.Record) error {
			if _, err := s.In(tx.(pgx.Tx)).Info(ctx); err != nil {
				return err
			}
			return errHook
		})
		if _, err := s.Append(ctx, batch(event("a-1", "A"))); !errors.Is(err, errHook) {
			t.Fatalf("Append returned %v", err)
		}
		remove()
		if n := len(readAll(t, s)); n != 0 {
			t.Errorf("%d events", n)
		}
	})
	t.Run("with an older snapshot", func(t *testing.T) {
		ctx, url := newContext(t), newURL(t)
		s, pool := openStore(t, url, nil), openPool(t, url)
		tx := begin(t, pool, pgx.RepeatableRead)
		if _, err := tx.Exec(ctx, `SELECT 1`); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, batch(event("a-1", "A")))
		if n := len(readAll(t, s.In(tx))); n != 0 {
			t.Errorf("%d events in the snapshot", n)
		}
	})
}

// unreplicated returns the URL of a server whose synchronous standby never
// comes: what asks for it is on the server's disk, and neither visible nor answered.
// Without asking, commits are local.
func unreplicated(t testing.TB) string {
	server := pgserver.ForTest(t, &pgserver.Options{Settings: map[string]string{"synchronous_standby_names": "nobody"}})
	return server.URL("postgres") + "&synchronous_commit=local"
}

// waits reports whether a session waits for something.
func waits(t testing.TB, pool *pgxpool.Pool, event string) (yes bool) {
	t.Helper()
	err := pool.QueryRow(newContext(t), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = $1)`, event).Scan(&yes)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

func TestCommitWhoseContextEndsIsOfUnknownOutcome(t *testing.T) {
	ctx, url := newContext(t), unreplicated(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	committing, cancel := context.WithCancel(ctx)
	answer := make(chan error, 1)
	e := event("a-1", "A")
	go func() {
		answer <- s.Update(committing, func(tx pgx.Tx, log *pgstore.TxLog) error {
			if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
				return err
			}
			_, err := log.Append(ctx, batch(e))
			return err
		})
	}()
	for !waits(t, pool, "SyncRep") {
	}
	cancel()
	if err := <-answer; !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("Update returned %v", err)
	}
	if head, err := s.Wait(ctx, 0); err != nil || head != 1 { // it took place
		t.Errorf("Wait returned %d and %v", head, err)
	}
	if r, err := s.Receipt(ctx, e.ID); err != nil || r.First != 1 {
		t.Errorf("Receipt returned %+v and %v", r, err)
	}
	// With a context that had ended before, nothing was sent.
	err := s.Update(ctx, func(_ pgx.Tx, log *pgstore.TxLog) error {
		if _, err := log.Append(ctx, batch(event("a-1", "B"))); err != nil {
			return err
		}
		return log.Commit(committing)
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("Commit with a context that had ended returned %v", err)
	}
}

// A COMMIT whose answer is lost may be on the server's disk and not visible yet.
func TestReceiptWaitsForACommitUnderWay(t *testing.T) {
	ctx, url := newContext(t), unreplicated(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	lost := openStore(t, url, nil)
	e := event("a-1", "A")
	committing, cut := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cut()
	wg.Go(func() {
		_ = lost.Update(committing, func(tx pgx.Tx, log *pgstore.TxLog) error {
			if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
				return err
			}
			_, err := log.Append(ctx, batch(e))
			return err
		})
	})
	for !waits(t, pool, "SyncRep") {
	}
	var r driver.Receipt
	answer := make(chan error, 1)
	go func() {
		var err error
		r, err = s.Receipt(ctx, e.ID)
		answer <- err
	}()
	for !waits(t, pool, "advisory") {
		select {
		case err := <-answer:
			t.Fatalf("with the COMMIT under way, Receipt returned %v", err)
		default:
		}
	}
	cut() // and the server is told to wait no longer
	if err := <-answer; err != nil || r.First != 1 {
		t.Errorf("Receipt returned %+v and %v", r, err)
	}
	if _, err := s.Receipt(ctx, event("a-1", "A").ID); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("Receipt of what never was returned %v", err)
	}
}

// With immediate constraints an append is placed at once; others may append
// between its judgement and its place.
func TestAppendWithImmediateConstraintsSaysItsConflict(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	other := openStore(t, url, nil)
	s := openTraced(t, url, &before{text: "INSERT INTO \"annals\".inbox", do: func() { mustAppend(t, other, batch(event("a-1", "A"))) }})
	err := s.Update(ctx, func(tx pgx.Tx, log *pgstore.TxLog) error {
		if _, err := tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
			return err
		}
		_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{event("a-1", "B")}, Conditions: []driver.Condition{driver.StreamAbsent("a-1")}})
		return err
	})
	var conflict *driver.ConflictError
	if !errors.As(err, &conflict) || conflict.Version != 1 || conflict.Head != 1 {
		t.Errorf("Update returned %v", err)
	}
	if n := len(readAll(t, s)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestTransactionThatAppendsCannotBePrepared(t *testing.T) {
	ctx := newContext(t)
	server := pgserver.ForTest(t, &pgserver.Options{Settings: map[string]string{"max_prepared_transactions": "1"}})
	url := server.URL("postgres")
	s, pool := openStore(t, url, nil), openPool(t, url)
	tx := begin(t, pool, pgx.ReadCommitted)
	mustAppend(t, s.In(tx), batch(event("a-1", "A")))
	if _, err := tx.Exec(ctx, `PREPARE TRANSACTION 'both'`); !contains(err, "cannot PREPARE", "NOTIFY") {
		t.Errorf("PREPARE TRANSACTION answered %v", err)
	}
	if r := mustAppend(t, s, batch(event("a-1", "A"))); r.First != 1 {
		t.Errorf("the next append is at %d", r.First)
	}
}

// Somebody may use a channel that is called as the schema is.
func TestNotificationOfAnotherOnlyWakes(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	woken := make(chan driver.Position, 1)
	go func() {
		head, err := s.Wait(ctx, 0)
		if err != nil {
			t.Error(err)
		}
		woken <- head
	}()
	for listens := false; !listens; {
		err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle')`).Scan(&listens)
		if err != nil {
			t.Fatal(err)
		}
	}
	runSQL(t, url, `NOTIFY annals, '17'`)
	runSQL(t, url, `NOTIFY annals, 'seventeen'`)
	mustAppend(t, openStore(t, url, nil), batch(event("a-1", "A")))
	if head := <-woken; head != 1 {
		t.Errorf("Wait returned %d", head)
	}
	if n := len(readAll(t, s)); n != 1 {
		t.Errorf("%d events", n)
	}
}

// The batch sent again was known, and its receipt could not be read any more.
func TestRepeatedAppendWhoseReceiptCannotBeReadIsOfUnknownOutcome(t *testing.T) {
	url := newURL(t)
	b := batch(event("a-1", "A"))
	mustAppend(t, openStore(t, url, nil), b)
	ctx, cancel := context.WithCancel(newContext(t))
	s := openTraced(t, url, &before{text: "WHERE x.id = ANY", do: cancel})
	if _, err := s.Append(ctx, b); !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("Append returned %v", err)
	}
	if r := mustAppend(t, s, b); !r.Repeated || r.First != 1 {
		t.Errorf("the receipt is %+v", r)
	}
}

func TestCommitSaysWhichEventIsKnownAndWhere(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s := openStore(t, url, nil)
	fresh, twice := event("a-1", "A"), event("a-1", "B")
	err := s.Update(ctx, func(_ pgx.Tx, log *pgstore.TxLog) error {
		mustAppend(t, log, batch(fresh, twice))
		mustAppend(t, s, batch(event("b-1", "B"), twice)) // another does it first
		return nil
	})
	var known *driver.IDError
	if !errors.As(err, &known) || known.ID != twice.ID || known.Position != 2 {
		t.Errorf("Update returned %v, want event %s at position 2", err, twice.ID)
	}
	if n := len(readAll(t, s)); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestReceiptsOfATransactionSayHowDurableItIs(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s, pool := openStore(t, url, nil), openPool(t, url)
	first := batch(event("a-1", "A"))
	mustAppend(t, s, first)
	for setting, want := range map[string]string{"off": "fsync off: synchronous_commit is off", "on": "fsync"} {
		tx := begin(t, pool, pgx.ReadCommitted)
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = `+setting); err != nil {
			t.Fatal(err)
		}
		log := s.In(tx)
		if info, err := log.Info(ctx); err != nil || info.Durability != want {
			t.Errorf("with synchronous_commit %s Info returned %+v and %v", setting, info, err)
		}
		mustAppend(t, log, batch(event("a-1", "A")))
		if err := log.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Receipt(ctx, first.Events[0].ID); err != nil || r.Durability != "fsync" {
			t.Errorf("a transaction with synchronous_commit %s has made the store say %q (%v)", setting, r.Durability, err)
		}
		if receipts, err := log.Receipts(ctx); err != nil || receipts[0].Durability != want {
			t.Errorf("with synchronous_commit %s the receipts are %+v (%v)", setting, receipts, err)
		}
	}
}

func TestRepeatedAppendInATransactionGivesTheFirstReceipt(t *testing.T) {
	ctx, url := newContext(t), newURL(t)
	s := openStore(t, url, nil)
	mustAppend(t, s, batch(event("a-1", "A")))
	err := s.Update(ctx, func(_ pgx.Tx, log *pgstore.TxLog) error {
		b := batch(event("a-1", "B"), event("", "C", "k:v"))
		first := mustAppend(t, log, b)
		mustAppend(t, log, batch(event("a-1", "D")))
		if again := mustAppend(t, log, b); !again.Repeated || !slices.Equal(again.Versions, first.Versions) {
			t.Errorf("the receipt was %+v and is %+v", first, again)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
