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
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/projection"
)

func TestPauseResumeReset(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		last := move(t, db, "a", 1)
		r := start(t, stock("v1", 1, nil), db, target, quick)
		must(t, r.Wait(patient(t), last))
		control := projection.NewControl(db.Log(), target)
		must(t, control.Pause(t.Context(), "stock", ""))
		before := rows(t, read, allStock)
		last = move(t, db, "b", 2)
		all, err := control.List(t.Context())
		must(t, err)
		equal(t, "paused", all[0].Paused, true)
		if all[0].Behind == 0 || all[0].Lag <= 0 {
			t.Fatalf("paused and not behind: %+v", all[0])
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := r.Wait(short, last); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("it goes on while it is paused: %v", err)
		}
		equal(t, "the stock while paused", rows(t, read, allStock), before)
		must(t, control.Resume(t.Context(), "stock", ""))
		must(t, r.Wait(patient(t), last))
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))

		must(t, control.Reset(t.Context(), "stock", "v1"))
		move(t, db, "c", 3)
		eventually(t, "the projection begins again", func() bool {
			return fmt.Sprint(rows(t, read, allStock)) == fmt.Sprint(folded(t, db))
		})
		if err := control.Pause(t.Context(), "stick", ""); !errors.Is(err, annals.ErrNotFound) {
			t.Fatalf("paused what is not there: %v", err)
		}
	})
}

// Who waits after a reset waits until everything is there again, though the
// runner has not noticed yet; also where it has ended.
func TestWaitAfterAReset(t *testing.T) {
	for name, runs := range map[string]bool{"running": true, "ended": false} {
		t.Run(name, func(t *testing.T) {
			db := memory(t)
			read, target := targets[0].open(t)
			last := move(t, db, "a", 1)
			r := start(t, stock("v1", 1, nil), db, target, with(func(o *projection.Options) { o.Poll = time.Second }))
			must(t, r.Wait(patient(t), last))
			must(t, r.Wait(patient(t), last))
			if !runs {
				_ = r.stop()
			}
			must(t, projection.NewControl(db.Log(), target).Reset(t.Context(), "stock", ""))
			if !runs {
				short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if err := r.Wait(short, last); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("nothing runs, and all is there: %v", err)
				}
				start(t, stock("v1", 1, nil), db, target, quick)
			}
			must(t, r.Wait(patient(t), last))
			equal(t, "the stock", rows(t, read, allStock), folded(t, db))
		})
	}
}

// Who waits for a version that runs in another process learns that it will not come.
func TestWaitForAVersionThatWasSwitchedAwayFromOrDropped(t *testing.T) {
	db := memory(t)
	_, target := targets[0].open(t)
	old, err := stock("v1", 1, nil).Open(t.Context(), db, target, quick)
	must(t, err)
	control := projection.NewControl(db.Log(), target)
	elsewhere := start(t, stock("v1", 1, nil), db, target, quick)
	next := start(t, stock("v2", 1, nil), db, target, quick)
	first := move(t, db, "a", 1)
	must(t, control.Switch(patient(t), "stock", "v2"))
	if err := ended(t, elsewhere); !errors.Is(err, projection.ErrRetired) {
		t.Fatalf("the version before ended with %v", err)
	}
	must(t, old.Wait(patient(t), first))
	last := move(t, db, "a", 1)
	must(t, next.Wait(patient(t), last))
	if err := old.Wait(patient(t), last); !errors.Is(err, projection.ErrRetired) {
		t.Errorf("Wait after the switch: %v", err)
	}
	must(t, control.Drop(t.Context(), "stock", "v1"))
	if err := old.Wait(patient(t), last); !errors.Is(err, projection.ErrRetired) {
		t.Errorf("Wait after the drop: %v", err)
	}
}

// An event that was set aside is tried like any other after a reset.
func TestResetForgetsWhatHasFailed(t *testing.T) {
	db := memory(t)
	read, target := targets[0].open(t)
	var mended atomic.Bool
	p := stock("v1", 1, func(e Moved) error {
		if e.Quantity == 7 && !mended.Load() {
			return errors.New("unlucky")
		}
		return nil
	})
	move(t, db, "a", 1)
	last := move(t, db, "a", 7)
	r := start(t, p, db, target, with(func(o *projection.Options) { o.OnError = projection.DeadLetter }))
	must(t, r.Wait(patient(t), last))
	mended.Store(true)
	control := projection.NewControl(db.Log(), target)
	must(t, control.Reset(t.Context(), "stock", ""))
	eventually(t, "it begins again", func() bool {
		s, err := control.Status(t.Context(), "stock")
		must(t, err)
		return s[0].Position >= last
	})
	equal(t, "the stock", rows(t, read, allStock), folded(t, db))
}

func TestPartitionsChangeOnlyAfterAReset(t *testing.T) {
	db := memory(t)
	last := move(t, db, "a", 1)
	read, target := targets[0].open(t)
	r := start(t, stock("v1", 1, nil), db, target, quick)
	must(t, r.Wait(patient(t), last))
	four := with(func(o *projection.Options) { o.Partitions = 4 })
	if _, err := stock("v1", 1, nil).Open(t.Context(), db, target, four); err == nil {
		t.Fatal("it has four partitions now")
	}
	must(t, r.Wait(patient(t), last))
	_ = r.stop()
	must(t, projection.NewControl(db.Log(), target).Reset(t.Context(), "stock", ""))
	r = start(t, stock("v1", 1, nil), db, target, four)
	must(t, r.Wait(patient(t), move(t, db, "b", 1)))
	equal(t, "the stock", rows(t, read, allStock), folded(t, db))
}

// A wrong new version is built beside the live one, its differences are
// listed, it is dropped; a right one is switched to.
func TestRebuild(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		for n := range 20 {
			move(t, db, fmt.Sprint("sku", n%4), n)
		}
		live := start(t, stock("v1", 1, nil), db, target, quick)
		wrong := start(t, stock("v2", 2, nil), db, target, quick)
		control := projection.NewControl(db.Log(), target)
		// Events come in all the while.
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					move(t, db, fmt.Sprint("sku", n%3), 1)
				}
			}
		}()
		diffs, err := control.Compare(patient(t), "stock", "v2", 2)
		must(t, err)
		equal(t, "tables", len(diffs), 1)
		d := diffs[0]
		equal(t, "rows", fmt.Sprint(d.LiveRows, d.NextRows, d.Differing, len(d.Differences)), "4 4 4 2")
		equal(t, "the first", d.Differences[0].Key, "sku0")
		live0, next0 := d.Differences[0].Live["quantity"].(int64), d.Differences[0].Next["quantity"].(int64)
		equal(t, "the wrong quantity", next0, 2*live0)
		equal(t, "columns that differ", len(d.Differences[0].Live), 1)
		must(t, control.Drop(t.Context(), "stock", "v2"))
		if err := ended(t, wrong); !errors.Is(err, projection.ErrRetired) {
			t.Fatalf("the dropped version ended with %v", err)
		}

		right := start(t, stock("v3", 1, nil), db, target, with(func(o *projection.Options) { o.Partitions = 2 }))
		diffs, err = control.Compare(patient(t), "stock", "v3", 10)
		must(t, err)
		equal(t, "differences", diffs[0].Differing, 0)
		must(t, control.Switch(patient(t), "stock", "v3"))
		if err := ended(t, live); !errors.Is(err, projection.ErrRetired) {
			t.Fatalf("the version before ended with %v", err)
		}
		close(stop)
		<-stopped
		must(t, right.Wait(patient(t), move(t, db, "sku0", 5)))
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))

		if err := control.Drop(t.Context(), "stock", "v3"); err == nil {
			t.Fatal("the live version was dropped")
		}
		// And back.
		must(t, control.Revive(t.Context(), "stock", "v1"))
		start(t, stock("v1", 1, nil), db, target, quick)
		must(t, control.Switch(patient(t), "stock", "v1"))
		must(t, control.Drop(t.Context(), "stock", "v3"))
		equal(t, "the stock", rows(t, read, allStock), folded(t, db))
	})
}

// What the database refuses only at the commit is the fault of an event, too.
func TestAnEventThatIsRefusedAtTheCommit(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			db := memory(t)
			var read *sql.DB
			var target *projection.SQL
			if kind == "sqlite" {
				var err error
				read, err = sql.Open("sqlite3", "file:"+filepath.ToSlash(filepath.Join(t.TempDir(), "read.db"))+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=foreign_keys(1)")
				must(t, err)
				t.Cleanup(func() { read.Close() })
				target = projection.SQLite(read)
			} else {
				read = openPostgres(t)
				target = projection.Postgres(read)
			}
			_, err := read.ExecContext(t.Context(), `CREATE TABLE known (sku TEXT PRIMARY KEY)`)
			must(t, err)
			p := projection.New("moves", projection.On(func(ctx context.Context, tx *sql.Tx, e Moved, env projection.Envelope) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "moves")+` VALUES ($1, $2)`, env.Position, e.SKU)
				return err
			})).Table("moves", `position BIGINT PRIMARY KEY, sku TEXT REFERENCES known (sku) DEFERRABLE INITIALLY DEFERRED`)
			_, err = read.ExecContext(t.Context(), `INSERT INTO known VALUES ('a'), ('b')`)
			must(t, err)
			var last annals.Position
			for n := range 40 {
				last = move(t, db, []string{"a", "b"}[n%2], n)
				if n == 21 {
					move(t, db, "nobody", 1)
				}
			}
			r := start(t, p, db, target, with(func(o *projection.Options) { o.OnError = projection.DeadLetter }))
			must(t, r.Wait(patient(t), last))
			equal(t, "the moves", len(rows(t, read, `SELECT position, sku FROM moves`)), 40)
			control := projection.NewControl(db.Log(), target)
			letters, err := control.Letters(t.Context(), "moves", "")
			must(t, err)
			if len(letters) != 1 || letters[0].Key != "item-nobody" || !strings.Contains(strings.ToLower(letters[0].Error), "foreign key") {
				t.Fatalf("dead letters: %+v", letters)
			}
			again, err := r.Retry(t.Context(), "", false)
			must(t, err)
			if again.Failed == nil || again.Left != 1 {
				t.Fatalf("retried to %+v", again)
			}
			_, err = read.ExecContext(t.Context(), `INSERT INTO known VALUES ('nobody')`)
			must(t, err)
			if again, err = r.Retry(t.Context(), "", false); err != nil || again.Done != 1 {
				t.Fatalf("retried to %+v, %v", again, err)
			}
			equal(t, "the moves", len(rows(t, read, `SELECT position, sku FROM moves`)), 41)
		})
	}
}

// No two versions share a table, whatever their names add up to.
func TestTablesAreOfOneVersion(t *testing.T) {
	db := memory(t)
	_, target := targets[0].open(t)
	open := func(name, version, table string) error {
		p := projection.New(name, projection.On(func(context.Context, *sql.Tx, Moved, projection.Envelope) error { return nil }))
		_, err := p.Version(version).Table(table, "k TEXT PRIMARY KEY").Open(t.Context(), db, target, quick)
		return err
	}
	must(t, open("one", "old_v1", "stock"))
	must(t, open("one", "v2", "stock"))
	for _, c := range [][3]string{{"two", "v1", "stock"}, {"two", "v1", "stock_old"}, {"one", "v1", "stock_old"}} {
		if err := open(c[0], c[1], c[2]); err == nil || !strings.Contains(err.Error(), "belongs to projection one old_v1") && !strings.Contains(err.Error(), "belongs to projection one v2") {
			t.Errorf("%s %s with table %s: %v", c[0], c[1], c[2], err)
		}
	}
}

// A version that is paused behind the other is not waited for.
func TestWhatIsPausedIsNotCompared(t *testing.T) {
	db := memory(t)
	_, target := targets[0].open(t)
	live := start(t, stock("v1", 1, nil), db, target, quick)
	must(t, live.Wait(patient(t), move(t, db, "a", 1)))
	control := projection.NewControl(db.Log(), target)
	must(t, control.Pause(t.Context(), "stock", ""))
	last := move(t, db, "a", 1)
	next := start(t, stock("v2", 1, nil), db, target, quick)
	must(t, next.Wait(patient(t), last))
	if _, err := control.Compare(patient(t), "stock", "v2", 10); err == nil || !strings.Contains(err.Error(), "version v1 is paused: resume it") {
		t.Fatalf("compared with what is paused: %v", err)
	}
	must(t, control.Resume(t.Context(), "stock", ""))
	must(t, control.Switch(patient(t), "stock", "v2"))
}

// Versions that nothing runs are not waited for.
func TestWhatNothingRunsIsNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory(t)
		move(t, db, "a", 1)
		target := projection.NewMemory[int](db.Log(), nil, nil)
		for _, v := range []string{"v1", "v2"} {
			_, err := bank(nil).Version(v).Open(t.Context(), db, target, nil)
			must(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		control := projection.NewControl(db.Log(), target)
		_, err := control.Compare(ctx, "bank", "v2", 1)
		for _, err := range []error{err, control.Switch(ctx, "bank", "v2")} {
			if err == nil || !strings.Contains(err.Error(), "have not moved for 30s (v1 is at position 0, v2 is at position 0): does anything run both?") {
				t.Errorf("they were aligned: %v", err)
			}
		}
	})
}

// Versions that never catch up with the head while events come in are compared
// at a position where both are held.
func TestCompareHoldsBoth(t *testing.T) {
	db := memory(t)
	_, target := targets[0].open(t)
	slowly := func(Moved) error { time.Sleep(2 * time.Millisecond); return nil }
	o := with(func(o *projection.Options) { o.Batch = 1 })
	for range 50 {
		move(t, db, "a", 1)
	}
	start(t, stock("v1", 1, slowly), db, target, o)
	eventually(t, "v1 is ahead", func() bool {
		all, err := projection.NewControl(db.Log(), target).List(t.Context())
		must(t, err)
		return all[0].Position > 20
	})
	start(t, stock("v2", 1, slowly), db, target, o)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				move(t, db, "a", 1)
			}
		}
	}()
	all, err := projection.NewControl(db.Log(), target).Compare(patient(t), "stock", "v2", 10)
	close(stop)
	<-stopped
	must(t, err)
	equal(t, "rows that differ", all[0].Differing, 0)
}

// Projections that are opened for the first time at once do not get in each other's way.
func TestOpenedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		last := move(t, db, "a", 1)
		var wg sync.WaitGroup
		for n := range 6 {
			name := []string{"select", "order", "levels"}[n%3] // not only names that need no quoting
			p := projection.New("p"+name, projection.On(func(ctx context.Context, tx *sql.Tx, e Moved, _ projection.Envelope) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO "+projection.At(ctx, name)+" VALUES (1)")
				return err
			})).Table(name, "n INTEGER PRIMARY KEY")
			other := projection.SQLite(read)
			if t.Name() == "TestOpenedAtOnce/postgres" {
				other = projection.Postgres(read)
			}
			wg.Go(func() {
				r, err := p.Open(t.Context(), db, other, quick)
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancel(patient(t))
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				if err := r.Wait(ctx, last); err != nil {
					t.Error(err)
				}
				cancel()
				<-done
			})
		}
		wg.Wait()
		all, err := projection.NewControl(db.Log(), target).List(t.Context())
		must(t, err)
		equal(t, "projections", len(all), 3)
		taken := projection.New("taker", projection.OnRecord(annals.Query{}, func(context.Context, *sql.Tx, annals.Record) error { return nil })).Table("order", "n INTEGER")
		if _, err := taken.Open(t.Context(), db, target, quick); err == nil {
			t.Fatal("two projections have one table")
		}
	})
}

// Readers cannot write to what they read, and a handler that forgets At fails at once.
func TestViewIsReadOnly(t *testing.T) {
	each(t, func(t *testing.T, read *sql.DB, target *projection.SQL) {
		db := memory(t)
		_, err := stock("v1", 1, nil).Open(t.Context(), db, target, quick)
		must(t, err)
		if _, err := read.Exec("INSERT INTO stock VALUES ('a', 1, 1)"); err == nil {
			t.Fatal("the view can be written")
		}
	})
}
