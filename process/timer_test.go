package process_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

// alarm is an application with a timer for each order, set by the total in hours.
func alarm(t *testing.T) (system func() *process.System, place func(order string, total int), log *memstore.Store, clock *annalstest.Clock, app *process.App) {
	clock = annalstest.NewClock(annalstest.Start)
	log = memstore.New(&memstore.Options{Clock: clock.Now})
	db := annals.New(log, &annals.Options{Clock: clock.Now})
	app = process.New("alarm", db,
		process.On(func(r *process.Reaction, e Placed) error {
			if e.Total == 0 {
				return r.Cancel(e.Order)
			}
			return r.Schedule(e.Order, annalstest.Start.Add(time.Duration(e.Total)*time.Hour), Expired{e.Order})
		}),
	)
	system = func() *process.System {
		s, err := process.NewSystem(&process.Options{Interval: time.Millisecond}, process.Pipe(app, app))
		must(t, err)
		return s
	}
	place = func(order string, total int) {
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{order, total}) })
		must(t, err)
		must(t, system().Settle(t.Context()))
	}
	return system, place, log, clock, app
}

func TestATimer(t *testing.T) {
	t.Run("fires when its time has come, not before, and once however the clock jumps", func(t *testing.T) {
		system, place, log, clock, app := alarm(t)
		place("a", 2)
		place("b", 3)
		for _, step := range []struct {
			to    time.Duration
			fired int
		}{{0, 0}, {2*time.Hour - 1, 0}, {2 * time.Hour, 1}, {-1000 * time.Hour, 1}, {2 * time.Hour, 1}, {1e6 * time.Hour, 2}, {0, 2}, {1e6 * time.Hour, 2}} {
			clock.Set(annalstest.Start.Add(step.to))
			must(t, system().Settle(t.Context()))
			equal(t, fmt.Sprint("fired at ", step.to), count(t, log, "Expired"), step.fired)
		}
		timers, err := app.Timers(t.Context())
		must(t, err)
		equal(t, "left", len(timers), 0)
	})
	t.Run("can be cancelled and set anew", func(t *testing.T) {
		system, place, log, clock, app := alarm(t)
		place("a", 2)
		place("b", 3)
		place("a", 0) // cancelled
		place("c", 0) // there is none
		place("b", 5) // later
		timers, err := app.Timers(t.Context())
		must(t, err)
		equal(t, "timers", fmt.Sprint(timers), fmt.Sprintf("[{b %v Expired}]", annalstest.Start.Add(5*time.Hour)))
		clock.Set(annalstest.Start.Add(4 * time.Hour))
		must(t, system().Settle(t.Context()))
		equal(t, "fired", count(t, log, "Expired"), 0)
		clock.Set(annalstest.Start.Add(5 * time.Hour))
		must(t, system().Settle(t.Context()))
		equal(t, "fired", count(t, log, "Expired"), 1)
		place("b", 6) // after it has fired
		clock.Set(annalstest.Start.Add(6 * time.Hour))
		must(t, system().Settle(t.Context()))
		equal(t, "fired", count(t, log, "Expired"), 2)
	})
	t.Run("fires once where many want to fire it while the clock jumps about", func(t *testing.T) {
		system, place, log, clock, _ := alarm(t)
		for n := range 20 {
			place(fmt.Sprint(n), 1+n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := system().Run(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("Run returned %v", err)
				}
			})
		}
		for n := range 2000 {
			clock.Set(annalstest.Start.Add(time.Duration(n*37%30) * time.Hour))
			if n%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		clock.Set(annalstest.Start.Add(30 * time.Hour))
		for begin := time.Now(); count(t, log, "Expired") < 20 && time.Since(begin) < time.Minute; {
			time.Sleep(time.Millisecond)
		}
		cancel()
		wg.Wait()
		equal(t, "fired", count(t, log, "Expired"), 20)
		equal(t, "fired", count(t, log, "process.TimerFired"), 20)
	})
}

func TestATimerOfAnApplicationThatFollowsItself(t *testing.T) {
	clock := annalstest.NewClock(annalstest.Start)
	log := memstore.New(&memstore.Options{Clock: clock.Now})
	db := annals.New(log, &annals.Options{Clock: clock.Now})
	app := process.New("alarm", db,
		process.On(func(r *process.Reaction, e Placed) error {
			return r.Schedule(e.Order, annalstest.Start.Add(time.Hour), Expired{e.Order})
		}),
		process.On(func(r *process.Reaction, e Expired) error {
			return r.Tx.Append(Dropped(e), annals.WithTags("order:"+e.Order))
		}),
	)
	settle := func() {
		s, err := process.NewSystem(nil, process.Pipe(app, app))
		must(t, err)
		must(t, s.Settle(t.Context()))
	}
	_, err := db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{"a", 1}) })
	must(t, err)
	settle()
	clock.Advance(time.Hour)
	settle()
	equal(t, "fired", count(t, log, "Expired"), 1)
	equal(t, "reactions to what has fired", count(t, log, "Dropped"), 1)
	_, err = db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Expired{"b"}) }) // by no timer
	must(t, err)
	settle()
	equal(t, "reactions", count(t, log, "Dropped"), 2)
}
