package drivertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-db/annals/driver"
)

var closeTests = []test{
	{"every method of a closed log says so", func(e *env) {
		e.append(e.events("item-1", 3)...)
		if err := e.log.Close(); err != nil {
			e.Fatalf("Close: %v", err)
		}
		_, appendErr := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1)})
		_, readErr := collect(e.ctx, e.log, everything, driver.ReadOptions{})
		_, waitErr := e.log.Wait(e.ctx, 0)
		_, infoErr := e.log.Info(e.ctx)
		for method, err := range map[string]error{"Append": appendErr, "Read": readErr, "Wait": waitErr, "Info": infoErr} {
			if !errors.Is(err, driver.ErrClosed) {
				e.Errorf("%s returned %v", method, err)
			}
		}
	}},
	{"a second Close does nothing", func(e *env) {
		for range 3 {
			if err := e.log.Close(); err != nil {
				e.Errorf("Close: %v", err)
			}
		}
	}},
	{"no goroutine outlives Close", func(e *env) {
		// By name, not by number: one of an earlier test that ends meanwhile
		// would make up for one that stays.
		before := goleak.IgnoreCurrent()
		other := e.another(nil)
		other.append(other.events("item-1", 10)...)
		ctx, cancel := context.WithCancel(e.ctx)
		woken := other.waiting(ctx, 10)
		for range other.log.Read(e.ctx, everything, driver.ReadOptions{}) {
			break
		}
		cancel()
		woken(other)
		if err := other.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		begin := time.Now()
		left := goleak.Find(before)
		for left != nil && time.Since(begin) < patience {
			left = goleak.Find(before) // what is about to end may end
		}
		if left != nil {
			e.Errorf("after Close: %v", left)
		}
	}},
	{"Close waits for appends under way", func(e *env) {
		var acknowledged atomic.Int64
		var wg sync.WaitGroup
		started := make(chan struct{}, 1000)
		begin := time.Now()
		for range 8 {
			wg.Go(func() {
				for time.Since(begin) < patience {
					_, err := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1)})
					if errors.Is(err, driver.ErrClosed) {
						return
					}
					if err != nil {
						e.Errorf("Append while the log is being closed: %v", err)
						return
					}
					acknowledged.Add(1)
					select {
					case started <- struct{}{}:
					default:
					}
				}
				e.Errorf("a closed log goes on taking appends")
			})
		}
		for range 20 {
			<-started
		}
		if err := e.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		wg.Wait()
		if acknowledged.Load() < 20 {
			e.Errorf("%d appends were acknowledged", acknowledged.Load())
		}
	}},
	{"what was acknowledged before Close is there when it is opened again", func(e *env) {
		var mu sync.Mutex
		answers := map[driver.ID]error{}
		var wg sync.WaitGroup
		begin := time.Now()
		for range 8 {
			wg.Go(func() {
				for err := error(nil); err == nil && time.Since(begin) < patience; {
					b := driver.Batch{Events: e.events("item-1", 1)}
					_, err = e.log.Append(e.ctx, b)
					mu.Lock()
					answers[b.Events[0].ID] = err
					mu.Unlock()
				}
			})
		}
		for e.head() < 50 && time.Since(begin) < patience {
		}
		if err := e.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		wg.Wait()
		e.reopen()
		for _, r := range e.all() {
			if err := answers[r.ID]; err != nil && !errors.Is(err, driver.ErrOutcomeUnknown) {
				e.Errorf("the log holds at position %d what was answered with %v", r.Position, err)
			}
			delete(answers, r.ID)
		}
		for id, err := range answers {
			if err == nil {
				e.Errorf("event %s was acknowledged and is not in the log", id)
			}
		}
	}},
	{"Close while others read ends their reads with an error or their true end", func(e *env) {
		e.append(e.events("item-1", 200)...)
		var wg sync.WaitGroup
		reading := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				n := 0
				var last error
				for _, err := range e.log.Read(e.ctx, everything, driver.ReadOptions{}) {
					if last = err; err != nil {
						break
					}
					if n++; n == 1 {
						reading <- struct{}{}
					}
				}
				if n == 0 {
					reading <- struct{}{}
				}
				if n < 200 && !errors.Is(last, driver.ErrClosed) {
					e.Errorf("a read ended after %d of 200 records with %v", n, last)
				}
			})
		}
		for range 4 {
			<-reading
		}
		if err := e.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		wg.Wait()
	}},
}
