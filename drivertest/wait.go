package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
)

var waitTests = []test{
	{"returns at once if the head is greater", func(e *env) {
		e.append(e.events("item-1", 3)...)
		for after := range driver.Position(3) {
			if w := e.waiting(e.ctx, after)(e); w.head != 3 || w.err != nil {
				e.Errorf("Wait(%d) returned %d and %v", after, w.head, w.err)
			}
		}
	}},
	{"is woken by an append", func(e *env) {
		e.append(e.events("item-1", 3)...)
		woken := e.waiting(e.ctx, 3)
		time.Sleep(10 * time.Millisecond)
		e.append(e.events("item-1", 2)...)
		w := woken(e)
		if w.err != nil || w.head < 4 || w.head > 5 {
			e.Errorf("Wait(3) returned %d and %v", w.head, w.err)
		}
	}},
	{"what it returns can be read", func(e *env) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				if _, err := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 3)}); err != nil {
					e.Errorf("Append: %v", err)
				}
			}
		}()
		defer func() { <-done }()
		for seen := driver.Position(0); seen < 300; {
			w := e.waiting(e.ctx, seen)(e)
			if w.err != nil || w.head <= seen {
				e.Fatalf("Wait(%d) returned %d and %v", seen, w.head, w.err)
			}
			if got := e.read(everything, driver.ReadOptions{After: seen, UpTo: w.head}); len(got) != int(w.head-seen) {
				e.Fatalf("after Wait(%d) returned %d, %d records can be read", seen, w.head, len(got))
			}
			seen = w.head
		}
	}},
	{"stays while the head is not greater", func(e *env) {
		e.append(e.events("item-1", 3)...)
		for _, after := range []driver.Position{3, 4, 1 << 40} {
			ctx, cancel := context.WithTimeout(e.ctx, 30*time.Millisecond)
			w := e.waiting(ctx, after)(e)
			cancel()
			if !errors.Is(w.err, context.DeadlineExceeded) {
				e.Errorf("Wait(%d) with the head at 3 returned %d and %v", after, w.head, w.err)
			}
		}
	}},
	{"is not satisfied by an append that does not reach beyond", func(e *env) {
		woken := e.waiting(e.ctx, 2)
		e.append(e.events("item-1", 2)...)
		time.Sleep(20 * time.Millisecond)
		e.append(e.events("item-1", 1)...)
		if w := woken(e); w.err != nil || w.head != 3 {
			e.Errorf("Wait(2) returned %d and %v", w.head, w.err)
		}
	}},
	{"ends promptly when its context does", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		woken := e.waiting(ctx, 0)
		time.Sleep(10 * time.Millisecond)
		start := time.Now()
		cancel()
		w := woken(e)
		if !errors.Is(w.err, context.Canceled) {
			e.Errorf("Wait returned %d and %v", w.head, w.err)
		}
		if d := time.Since(start); d > time.Second {
			e.Errorf("Wait ended %v after its context", d)
		}
		if w := e.waiting(ctx, 0)(e); !errors.Is(w.err, context.Canceled) {
			e.Errorf("Wait with an ended context returned %v", w.err)
		}
	}},
	{"ends when the log is closed", func(e *env) {
		woken := e.waiting(e.ctx, 0)
		time.Sleep(10 * time.Millisecond)
		if err := e.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		if w := woken(e); !errors.Is(w.err, driver.ErrClosed) {
			e.Errorf("Wait on a log that was closed returned %d and %v", w.head, w.err)
		}
	}},
	{"wakes every waiter", func(e *env) {
		var woken []func(*env) waited
		for range 20 {
			woken = append(woken, e.waiting(e.ctx, 0))
		}
		time.Sleep(10 * time.Millisecond)
		e.append(e.events("item-1", 1)...)
		for _, w := range woken {
			if w := w(e); w.err != nil || w.head != 1 {
				e.Errorf("Wait(0) returned %d and %v", w.head, w.err)
			}
		}
	}},
	{"a refused append wakes no one", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		woken := e.waiting(ctx, 0)
		e.conflict(driver.StreamPresent("item-1"))
		time.Sleep(20 * time.Millisecond)
		cancel()
		if w := woken(e); w.err == nil {
			e.Errorf("Wait(0) on an empty log returned %d", w.head)
		}
	}},
}

type waited struct {
	head driver.Position
	err  error
}

// waiting begins a Wait and returns a function that returns its outcome.
func (e *env) waiting(ctx context.Context, after driver.Position) func(*env) waited {
	log, outcome := e.log, make(chan waited, 1)
	go func() {
		head, err := log.Wait(ctx, after)
		outcome <- waited{head, err}
	}()
	return func(e *env) waited {
		e.Helper()
		select {
		case w := <-outcome:
			return w
		case <-time.After(patience):
			e.Fatalf("Wait(%d) does not return", after)
			return waited{}
		}
	}
}
