package pgxtarget_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/pgxtarget"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

func newPool(t *testing.T, settings string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgserver.Shared(t).NewDatabase(t)+settings)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// What the server undoes for the sake of others is no fault of the event.
func TestDeadlockOfAHandlerIsTriedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pool := newPool(t, "&deadlock_timeout=10ms")
	_, err := pool.Exec(ctx, `CREATE TABLE totals (name text PRIMARY KEY, n int NOT NULL); INSERT INTO totals VALUES ('mine', 0), ('theirs', 0)`)
	must(t, err)
	add := func(ctx context.Context, tx pgx.Tx, name string) error {
		_, err := tx.Exec(ctx, `UPDATE totals SET n = n + 1 WHERE name = $1`, name)
		return err
	}
	// Another transaction has the one row and comes for the other.
	other, err := pool.Begin(ctx)
	must(t, err)
	_, err = other.Exec(ctx, `SET LOCAL deadlock_timeout = '1h'`)
	must(t, err)
	must(t, add(ctx, other, "theirs"))
	crossed := make(chan error, 1)
	tries := 0
	p := projection.New("totals",
		projection.On(func(ctx context.Context, tx pgx.Tx, _ Moved, _ projection.Envelope) error {
			if err := add(ctx, tx, "mine"); err != nil {
				return err
			}
			if tries++; tries == 1 {
				go func() { crossed <- errors.Join(add(ctx, other, "mine"), other.Commit(ctx)) }()
				for waits := false; !waits; {
					if err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
						return err
					}
				}
			}
			return add(ctx, tx, "theirs")
		}))
	db := annals.New(memstore.New(nil), nil)
	r, err := p.Open(ctx, db, pgxtarget.New(pool), &projection.Options{Poll: 20 * time.Millisecond, Attempts: 1})
	must(t, err)
	last, err := move(ctx, db, "a", 1)
	must(t, err)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(run) }()
	if err := r.Wait(ctx, last); err != nil {
		t.Errorf("the projection has ended: %v", err)
	}
	must(t, <-crossed)
	var mine, theirs int
	must(t, pool.QueryRow(ctx, `SELECT (SELECT n FROM totals WHERE name = 'mine'), (SELECT n FROM totals WHERE name = 'theirs')`).Scan(&mine, &theirs))
	if mine != 2 || theirs != 2 {
		t.Errorf("the totals are %d and %d after %d tries", mine, theirs, tries)
	}
	stop()
	<-ended
}

// slow is a keeper that does something when a key was locked.
type slow struct {
	projection.Keeper
	key  string
	then func()
}

func (s slow) Keep(ctx context.Context, fn func(context.Context, projection.Book) error) error {
	return s.Keeper.Keep(ctx, func(ctx context.Context, b projection.Book) error { return fn(ctx, slowBook{b, s}) })
}

type slowBook struct {
	projection.Book
	s slow
}

func (b slowBook) Lock(ctx context.Context, key string) ([]byte, error) {
	value, err := b.Book.Lock(ctx, key)
	if key == b.s.key {
		b.s.then()
	}
	return value, err
}

// A runner that waits for the checkpoint sees what was done by whoever had it,
// whatever the isolation level that the database has as its default.
func TestPauseStopsARunnerThatWaitsForTheCheckpoint(t *testing.T) {
	const checkpoint = "projection/levels/v1/at/0000"
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			pool := newPool(t, "&default_transaction_isolation="+strings.ReplaceAll(level, " ", "%20"))
			target, db := pgxtarget.New(pool), annals.New(memstore.New(nil), nil)
			r, err := Levels.Open(ctx, db, target, &projection.Options{Poll: time.Hour})
			must(t, err)
			run, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- r.Run(run) }()
			first, err := move(ctx, db, "a", 1)
			must(t, err)
			must(t, r.Wait(ctx, first))
			pausing := slow{target, checkpoint, func() {
				_, err := move(ctx, db, "b", 1)
				must(t, err)
				for waits := false; !waits; {
					must(t, pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
				}
			}}
			must(t, projection.NewControl(db.Log(), pausing).Pause(ctx, "levels", ""))
			for busy := true; busy; { // the runner has had the checkpoint then
				must(t, pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
					AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid())`).Scan(&busy))
			}
			var handled int
			must(t, pool.QueryRow(ctx, `SELECT count(*) FROM levels`).Scan(&handled))
			if handled != 1 {
				t.Errorf("the paused projection has handled %d events", handled)
			}
			stop()
			<-ended
		})
	}
}

// The same for a target by database/sql.
func TestTargetByDatabaseSQLIsAtReadCommitted(t *testing.T) {
	pool := newPool(t, "&default_transaction_isolation=serializable")
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	var level string
	must(t, projection.Postgres(db).Update(t.Context(), func(ctx context.Context, tx *sql.Tx, _ projection.Book) error {
		return tx.QueryRowContext(ctx, `SELECT current_setting('transaction_isolation')`).Scan(&level)
	}))
	if level != "read committed" {
		t.Errorf("its transactions are at %s", level)
	}
}
