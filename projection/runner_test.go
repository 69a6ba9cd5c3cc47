package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
)

func TestReadModelEqualsAFold(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		for _, partitions := range []int{1, 4} {
			t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
				db := memory(t)
				for n := range 50 {
					move(t, db, fmt.Sprint("sku", n%7), n)
				}
				version := fmt.Sprint("p", partitions)
				o := with(func(o *projection.Options) { o.Partitions, o.Batch = partitions, 7 })
				r := start(t, stock(version, 1, nil), db, target, o)
				var last annals.Position
				for n := range 50 {
					last = move(t, db, fmt.Sprint("sku", n%5), -n)
				}
				must(t, r.Wait(patient(t), last))
				equal(t, "the stock", rows(t, read, "SELECT sku, quantity, moves FROM stock_"+version), folded(t, db))
			})
		}
	})
}

func TestRestartGoesOnBehindTheCheckpoint(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		for n := range 5 {
			last := move(t, db, "a", n)
			r := start(t, stock("v1", 1, nil), db, target, quick)
			must(t, r.Wait(patient(t), last))
			if err := r.stop(); !errors.Is(err, context.Canceled) {
				t.Fatalf("Run ended with %v", err)
			}
		}
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))
	})
}

// Two runners that race and a writer outside: nothing is skipped, nothing doubled.
func TestTwoWorkersAndAWriter(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		o := with(func(o *projection.Options) { o.Batch, o.Partitions = 3, 2 })
		a := start(t, stock("v1", 1, nil), db, target, o)
		b := start(t, stock("v1", 1, nil), db, target, o)
		var wg sync.WaitGroup
		var last atomic.Uint64
		for w := range 2 {
			wg.Go(func() {
				for n := range 100 {
					p := move(t, db, fmt.Sprint("sku", (n+w)%9), n)
					last.Store(max(last.Load(), uint64(p)))
				}
			})
		}
		wg.Wait()
		info, err := db.Log().Info(t.Context())
		must(t, err)
		must(t, a.Wait(patient(t), info.Head))
		must(t, b.Wait(patient(t), info.Head))
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))
	})
}

// What is restored from an older backup under a live projection is refused.
func TestAnotherHistoryIsRefused(t *testing.T) {
	fill := func(t *testing.T, dir string, n int) {
		log, err := filestore.Open(dir, nil)
		must(t, err)
		db := annals.New(log, nil)
		for i := range n {
			move(t, db, "a", i)
		}
		must(t, log.Close())
	}
	project := func(t *testing.T, dir string, target *projection.SQL) (running, *annals.DB) {
		log, err := filestore.Open(dir, nil)
		must(t, err)
		t.Cleanup(func() { log.Close() })
		db := annals.New(log, nil)
		return start(t, stock("v1", 1, nil), db, target, quick), db
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir, backup string) string // of the log to go on with
		reason string
	}{
		{"an older backup", func(t *testing.T, dir, backup string) string { return backup }, "restored from an older backup"},
		{"an older backup that has gone on", func(t *testing.T, dir, backup string) string {
			fill(t, backup, 30)
			return backup
		}, "is not the one that was handled there"},
		{"another log", func(t *testing.T, dir, backup string) string {
			other := filepath.Join(t.TempDir(), "other")
			fill(t, other, 30)
			return other
		}, "this is log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
				dir, backup := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "backup")
				fill(t, dir, 5)
				log, err := filestore.Open(dir, &filestore.Options{ReadOnly: true})
				must(t, err)
				if _, err := log.Backup(t.Context(), backup, nil); err != nil {
					t.Fatal(err)
				}
				must(t, log.Close())
				fill(t, dir, 5)
				r, _ := project(t, dir, target)
				must(t, r.Wait(patient(t), 10))
				_ = r.stop()
				before := rows(t, read, allStock)

				r, db := project(t, c.change(t, dir, backup), target)
				err = ended(t, r)
				var refused *projection.CheckpointError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason) {
					t.Fatalf("it ended with %v, want a CheckpointError with %q", err, c.reason)
				}
				// Nor is it taken for what another process has caught up with.
				waiting, err := stock("v1", 1, nil).Open(t.Context(), db, target, quick)
				must(t, err)
				if err := waiting.Wait(patient(t), 3); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason) {
					t.Fatalf("waiting ended with %v, want a CheckpointError with %q", err, c.reason)
				}
				equal(t, "the stock", rows(t, read, allStock), before)
				all, err := projection.NewControl(db.Log(), target).List(t.Context())
				must(t, err)
				if !strings.Contains(all[0].Refused, c.reason) {
					t.Fatalf("the status says %q, want %q", all[0].Refused, c.reason)
				}
			})
		})
	}
}

// swapped is a log that becomes another one behind a running projection.
type swapped struct {
	driver.Log
	mu  sync.Mutex
	now driver.Log
}

func (s *swapped) log() driver.Log { s.mu.Lock(); defer s.mu.Unlock(); return s.now }
func (s *swapped) Info(ctx context.Context) (driver.Info, error) {
	return s.log().Info(ctx)
}

func TestLogThatLosesItsEndUnderARunningProjection(t *testing.T) {
	id := annals.NewID()
	long, short := memstore.New(&memstore.Options{LogID: id}), memstore.New(&memstore.Options{LogID: id})
	log := &swapped{Log: long, now: long}
	db := annals.New(log, nil)
	for n := range 3 {
		move(t, db, "a", n)
	}
	_, target := targets[0].open(t)
	r := start(t, stock("v1", 1, nil), db, target, quick)
	must(t, r.Wait(patient(t), 3))
	log.mu.Lock()
	log.now = short
	log.mu.Unlock()
	var refused *projection.CheckpointError
	if err := ended(t, r); !errors.As(err, &refused) {
		t.Fatalf("it ended with %v", err)
	}
}

// A history that differs only before the last record is told by its tree head.
func TestAnotherPastIsRefused(t *testing.T) {
	id, ids := annals.NewID(), []annals.ID{annals.NewID(), annals.NewID()}
	history := func(first int) *annals.DB {
		at := time.Unix(1_700_000_000, 0)
		log := memstore.New(&memstore.Options{LogID: id, Clock: func() time.Time { return at }})
		for n, quantity := range []int{first, 7} {
			_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: ids[n], Stream: "item-a", Type: "Moved", Data: fmt.Appendf(nil, `{"SKU":"a","Quantity":%d}`, quantity)}}})
			must(t, err)
		}
		return annals.New(log, nil)
	}
	_, target := targets[0].open(t)
	r := start(t, stock("v1", 1, nil), history(1), target, quick)
	must(t, r.Wait(patient(t), 2))
	_ = r.stop()
	same := start(t, stock("v1", 1, nil), history(1), target, quick)
	must(t, same.Wait(patient(t), 2))
	_ = same.stop()
	other := history(2)
	err := ended(t, start(t, stock("v1", 1, nil), other, target, quick))
	var refused *projection.CheckpointError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "tree head") {
		t.Fatalf("it ended with %v", err)
	}
	waiting, err := stock("v1", 1, nil).Open(t.Context(), other, target, quick)
	must(t, err)
	if err := waiting.Wait(patient(t), 2); !errors.As(err, &refused) {
		t.Fatalf("waiting ended with %v", err)
	}
}

// A projection that stands still holds up no writer.
func TestSlowProjectionCostsWritersNothing(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		goOn := make(chan struct{})
		r := start(t, stock("v1", 1, func(Moved) error { <-goOn; return nil }), db, target, quick)
		var last annals.Position
		for n := range 500 { // would never end if they waited for a handler
			last = move(t, db, fmt.Sprint("sku", n%9), n)
		}
		close(goOn)
		must(t, r.Wait(patient(t), last))
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))
	})
}

func TestPoison(t *testing.T) {
	poison := func(e Moved) error {
		if e.Quantity == 13 {
			return errors.New("unlucky")
		}
		return nil
	}
	without := func(want map[string]string, sku, row string) map[string]string {
		if want[sku] = row; row == "" {
			delete(want, sku)
		}
		return want
	}
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		move(t, db, "good", 1)
		move(t, db, "bad", 5)
		move(t, db, "bad", 13) // at position 3
		move(t, db, "good", 2)
		move(t, db, "bad", 6)
		last := move(t, db, "good", 3)
		control := projection.NewControl(db.Log(), target)

		t.Run("stops before the event", func(t *testing.T) {
			r := start(t, stock("stops", 1, poison), db, target, quick)
			err := ended(t, r)
			var e *projection.EventError
			if !errors.As(err, &e) || e.Position != 3 || e.Attempts != 3 || !strings.Contains(err.Error(), "unlucky") {
				t.Fatalf("it ended with %v", err)
			}
			equal(t, "the stock", rows(t, read, "SELECT sku, quantity FROM stock_stops"), map[string]string{"good": "1", "bad": "5"})
			all, err := control.Status(t.Context(), "stock")
			must(t, err)
			equal(t, "failures", len(all[0].Failures), 1)
			equal(t, "stopped at", all[0].Failures[0].Position, annals.Position(3))
			equal(t, "stopped", all[0].Failures[0].Stopped, true)
			equal(t, "the position", all[0].Position, annals.Position(2))
		})
		t.Run("is tried until it succeeds", func(t *testing.T) {
			var tried atomic.Int32
			flaky := func(e Moved) error {
				if e.Quantity == 13 && tried.Add(1) < 6 {
					return errors.New("not now")
				}
				return nil
			}
			r := start(t, stock("retries", 1, flaky), db, target, with(func(o *projection.Options) { o.OnError = projection.Retry }))
			must(t, r.Wait(patient(t), last))
			equal(t, "the stock", rows(t, read, "SELECT sku, quantity, moves FROM stock_retries"), folded(t, db))
		})
		t.Run("becomes a dead letter, and later ones of its key wait", func(t *testing.T) {
			o := with(func(o *projection.Options) { o.OnError = projection.DeadLetter })
			var heal atomic.Bool
			r := start(t, stock("dead", 1, func(e Moved) error {
				if heal.Load() {
					return nil
				}
				return poison(e)
			}), db, target, o)
			must(t, r.Wait(patient(t), last))
			const query = "SELECT sku, quantity, moves FROM stock_dead"
			equal(t, "the stock", rows(t, read, query), without(folded(t, db), "bad", "5 1"))
			letters, err := control.Letters(t.Context(), "stock", "dead")
			must(t, err)
			equal(t, "letters", len(letters), 2)
			equal(t, "the first", fmt.Sprint(letters[0].Position, letters[0].Key, letters[0].Error, letters[0].Attempts), "3item-badunlucky3")
			equal(t, "the second", fmt.Sprint(letters[1].Position, letters[1].Error, letters[1].Attempts), "50")

			got, err := r.Retry(t.Context(), "", false)
			must(t, err)
			equal(t, "retried while it is poison", fmt.Sprint(got.Done, got.Failed.Position, got.Left), "0 3 2")
			heal.Store(true)
			got, err = control.Retry(patient(t), "stock", "dead", "item-bad", true)
			must(t, err)
			equal(t, "retried dry", got, projection.Retried{Done: 2, Left: 2, Dry: true})
			equal(t, "the stock", rows(t, read, query), without(folded(t, db), "bad", "5 1"))
			got, err = control.Retry(patient(t), "stock", "dead", "item-bad", false)
			must(t, err)
			equal(t, "retried", got, projection.Retried{Done: 2})
			move(t, db, "bad", 1)
			must(t, r.Wait(patient(t), move(t, db, "good", 1)))
			equal(t, "the stock", rows(t, read, query), folded(t, db))
		})
		t.Run("is dropped, and what waits is retried", func(t *testing.T) {
			o := with(func(o *projection.Options) { o.OnError = projection.DeadLetter })
			r := start(t, stock("drops", 1, poison), db, target, o)
			must(t, r.Wait(patient(t), last))
			must(t, control.Discard(t.Context(), "stock", "drops", 3))
			if err := control.Discard(t.Context(), "stock", "drops", 3); !errors.Is(err, annals.ErrNotFound) {
				t.Fatalf("dropped twice: %v", err)
			}
			_, err := r.Retry(t.Context(), "", false)
			must(t, err)
			equal(t, "the stock", rows(t, read, "SELECT sku, quantity FROM stock_drops WHERE sku = 'bad'"), map[string]string{"bad": "12"})
		})
		var told []string
		for r, err := range db.View(t.Context()).Read(annals.Match(annals.QueryItem{Streams: []string{"projection-stock"}})) {
			must(t, err)
			told = append(told, strings.TrimPrefix(r.Type, "annals.projection."))
		}
		equal(t, "what the log was told", fmt.Sprint(told),
			"[dead-letter-retried dead-letter-retried dead-letter-retried dead-letter-retried dead-letter-dropped dead-letter-retried dead-letter-retried]")
	})
}

func TestPanickingHandlerIsAnError(t *testing.T) {
	db := memory(t)
	move(t, db, "a", 1)
	_, target := targets[0].open(t)
	r := start(t, stock("v1", 1, func(Moved) error { panic("oops") }), db, target, quick)
	if err := ended(t, r); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Fatalf("it ended with %v", err)
	}
}
