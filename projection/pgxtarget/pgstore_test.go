package pgxtarget_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/pgxtarget"
	"github.com/jackc/pgx/v5/pgxpool"
)

// shop is a log and its read models in one database.
func shop(t *testing.T) (*pgstore.Store, *annals.DB, *pgxpool.Pool) {
	t.Helper()
	url := pgserver.Shared(t).NewDatabase(t)
	log, err := pgstore.Open(t.Context(), url, nil)
	must(t, err)
	t.Cleanup(func() { log.Close() })
	pool, err := pgxpool.New(t.Context(), url)
	must(t, err)
	t.Cleanup(pool.Close)
	return log, annals.New(log, nil), pool
}

func move(ctx context.Context, db *annals.DB, sku string, n int) (annals.Position, error) {
	r, err := db.Update(ctx, func(tx *annals.Tx) error { return tx.Append(Moved{sku, n}) })
	return r.Last, err
}

func stockOf(t *testing.T, pool *pgxpool.Pool) (got string) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), "SELECT coalesce(string_agg(sku || quantity, ' ' ORDER BY sku), '') FROM stock").Scan(&got))
	return got
}

// A committer that is slow by 5 seconds is not skipped, whether it is slow
// before its COMMIT or within, where its events have their positions already.
func TestSlowCommitterIsNotSkipped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log, db, pool := shop(t)
	_, err := pool.Exec(ctx, `CREATE TABLE slow (n int);
		CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(5); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()`)
	must(t, err)
	r, err := stock("v1", 0).Open(ctx, db, pgxtarget.New(pool), &projection.Options{Poll: 50 * time.Millisecond})
	must(t, err)
	run, stop := context.WithCancel(ctx)
	defer stop()
	go r.Run(run)

	appended := make(chan struct{})
	var wg sync.WaitGroup
	for _, within := range []bool{false, true} {
		wg.Go(func() {
			tx, err := pool.Begin(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			inTx := annals.New(log.In(tx), nil)
			if _, err := move(ctx, inTx, fmt.Sprintf("slow-%t-", within), 1); err != nil {
				t.Error(err)
			}
			appended <- struct{}{}
			if within {
				if _, err := tx.Exec(ctx, "INSERT INTO slow VALUES (1)"); err != nil {
					t.Error(err)
				}
			} else {
				time.Sleep(5 * time.Second) // what is tested, not what is waited for
			}
			if err := tx.Commit(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	<-appended
	<-appended
	last := annals.Position(0)
	for range 20 {
		last, err = move(ctx, db, "quick-", 1)
		must(t, err)
		must(t, r.Wait(ctx, last)) // it goes on beside them
	}
	wg.Wait()
	last, err = move(ctx, db, "quick-", 1)
	must(t, err)
	must(t, r.Wait(ctx, last))
	if got := stockOf(t, pool); got != "quick-21 slow-false-1 slow-true-1" {
		t.Fatalf("the stock is %q", got)
	}
}

func TestInlineOnPostgres(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, db, pool := shop(t)
	for range 3 {
		_, err := move(ctx, db, "a", 1)
		must(t, err)
	}
	remove, err := stock("v1", 0).Inline(ctx, db, pgxtarget.New(pool), nil)
	must(t, err)
	defer remove()
	if got := stockOf(t, pool); got != "a3" {
		t.Fatalf("it has not caught up: %q", got)
	}
	_, err = move(ctx, db, "a", 2)
	must(t, err)
	if got := stockOf(t, pool); got != "a5" {
		t.Fatalf("the stock is %q behind an append", got)
	}
	t.Run("a failure fails its own append only", func(t *testing.T) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for n := range 10 {
					quantity := 1
					if (n+w)%5 == 0 {
						quantity = 13
					}
					_, err := move(ctx, db, "b", quantity)
					var poison *projection.EventError
					if bad := quantity == 13; bad != errors.As(err, &poison) || bad == (err == nil) {
						t.Errorf("%d: %v", quantity, err)
					}
				}
			})
		}
		wg.Wait()
		if got := stockOf(t, pool); got != "a5 b64" {
			t.Fatalf("the stock is %q", got)
		}
		n := 0
		for r, err := range db.View(ctx).Read(annals.Query{}) {
			must(t, err)
			if n++; strings.Contains(string(r.Data), "13") {
				t.Fatal("a poison event was appended")
			}
		}
		if n != 4+64 {
			t.Fatalf("%d events", n)
		}
	})
	t.Run("what others append is caught up with", func(t *testing.T) {
		remove()
		_, err = move(ctx, db, "c", 1) // as by a process without the hook
		must(t, err)
		if got := stockOf(t, pool); got != "a5 b64" {
			t.Fatalf("the stock is %q", got)
		}
		remove, err := stock("v1", 0).Inline(ctx, db, pgxtarget.New(pool), nil)
		must(t, err)
		defer remove()
		if got := stockOf(t, pool); got != "a5 b64 c1" {
			t.Fatalf("the stock is %q", got)
		}
		other, err := pgstore.Open(ctx, pool.Config().ConnString(), nil)
		must(t, err)
		defer other.Close()
		_, err = move(ctx, annals.New(other, nil), "c", 2) // another process, without the hook
		must(t, err)
		_, err = move(ctx, db, "c", 4)
		must(t, err)
		if got := stockOf(t, pool); got != "a5 b64 c7" {
			t.Fatalf("the stock is %q", got)
		}
	})
}
