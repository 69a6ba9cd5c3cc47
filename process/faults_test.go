package process_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
)

// life is one life of a worker: after so many calls of its logs it is killed,
// before or after the last append has taken effect, and nothing gets through any more.
type life struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	left int
}

var errKilled = errors.New("killed")

// call counts a call; lost says that it is the last, and takes effect.
func (l *life) call() (lost bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left--; l.left > 0 {
		return false, nil
	}
	if l.left == 0 && l.rnd.IntN(2) == 0 {
		return true, nil
	}
	return false, errKilled
}

// mortal is a log as a worker sees it in one life.
type mortal struct {
	driver.Log
	life *life
}

func (m mortal) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	lost, err := m.life.call()
	if err != nil {
		return driver.Receipt{}, err
	}
	r, err := m.Log.Append(ctx, b)
	if lost {
		return driver.Receipt{}, errKilled
	}
	return r, err
}

func (m mortal) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if _, err := m.life.call(); err != nil {
		return func(yield func(driver.Record, error) bool) { yield(driver.Record{}, err) }
	}
	return m.Log.Read(ctx, q, o)
}

func (m mortal) State() driver.State { return driver.StateOf(m.Log) }

// TestTwoWorkersAnOutsideWriterAndKillsBySeed runs the shop in two workers that
// are killed again and again, over logs that lose answers, while others write
// into the streams the workers decide by and the clock jumps. Nothing may be
// skipped and nothing doubled.
func TestTwoWorkersAnOutsideWriterAndKillsBySeed(t *testing.T) {
	first, last := seeds(12)
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { withFaults(t, seed) })
	}
}

func withFaults(t *testing.T, seed uint64) {
	const orders = 60
	s := newShop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var kills [2]int
	for w := range kills {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				l := &life{rnd: rand.New(rand.NewPCG(seed, uint64(100*n+w))), left: 10 + rnd.IntN(200)}
				fault := func(log driver.Log) driver.Log {
					return mortal{drivertest.Flaky(log, &drivertest.FlakyOptions{Seed: seed*1000 + uint64(2*n+w), Rate: 0.03}), l}
				}
				worker := &shop{s.clock, s.orders, fault(s.care), fault(s.payments)}
				if err := worker.system(t, nil).Run(ctx); errors.Is(err, errKilled) {
					kills[w]++
				} else if ctx.Err() == nil && !errors.Is(err, driver.ErrUnavailable) {
					t.Errorf("seed %d: Run returned %v", seed, err)
					return
				}
			}
		})
	}
	wg.Go(func() { // the outside writer
		rnd := rand.New(rand.NewPCG(seed, 7))
		note := func(r interface {
			Record(any, ...annals.RecordOption) error
		}) error {
			return r.Record(Noted{fmt.Sprint(rnd.IntN(10))})
		}
		for ctx.Err() == nil {
			_, _ = Tills.Update(ctx, s.db(s.payments), "1", func(t *Till) error { return note(t) })
			_, _ = Cares.Update(ctx, s.db(s.care), fmt.Sprint(1+rnd.IntN(orders)), func(c *Care) error { return note(c) })
			s.clock.Advance(time.Duration(rnd.IntN(100)-50) * time.Second)
			pauseFor(ctx, time.Duration(rnd.IntN(2000))*time.Microsecond)
		}
	})
	rnd := rand.New(rand.NewPCG(seed, 8))
	for n := range orders {
		s.place(t, n+1)
		pauseFor(ctx, time.Duration(rnd.IntN(3000))*time.Microsecond)
	}
	until := func(log driver.Log, prefix string, n int) {
		t.Helper()
		for count(t, log, prefix) < n {
			if ctx.Err() != nil {
				t.Fatalf("seed %d: only %d of %d %s", seed, count(t, log, prefix), n, prefix)
			}
			pauseFor(ctx, time.Millisecond)
		}
	}
	until(s.care, "Confirmed", orders-orders/5)
	until(s.care, "process.TimerSet", orders)
	s.clock.Advance(2 * deadline)
	until(s.care, "Dropped", orders/5)
	cancel()
	wg.Wait()
	s.right(t, orders, true)
	t.Logf("seed %d: %d kills", seed, kills[0]+kills[1])
}

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
