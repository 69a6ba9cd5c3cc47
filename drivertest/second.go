package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

var secondTests = []test{
	{"another handle is on the same log and reads the same records", func(e *env) {
		zoo(e)
		other := e.second()
		equal(e.T, "log ID", other.info().LogID, e.info().LogID)
		same(e.T, other.all(), e.all())
		e.append(oddEvents(e)...)
		other.reaches(e.head())
		same(e.T, other.all(), e.all())
		r := e.append(e.events("item-1", 3)...)
		other.reaches(r.Last)
		same(e.T, other.read(ofStream("item-1"), driver.ReadOptions{}), e.read(ofStream("item-1"), driver.ReadOptions{}))
	}},
	{"another handle opened on an empty log sees what comes", func(e *env) {
		other := e.second()
		equal(e.T, "records", len(other.all()), 0)
		e.append(e.events("item-1", 3)...)
		other.reaches(3)
		same(e.T, other.all(), e.all())
	}},
	{"a wait on another handle is woken", func(e *env) {
		other := e.second()
		woken := other.waiting(e.ctx, 0)
		time.Sleep(10 * time.Millisecond)
		e.append(e.events("item-1", 1)...)
		if w := woken(e); w.head != 1 || w.err != nil {
			e.Errorf("Wait(0) returned %d and %v", w.head, w.err)
		}
	}},
	{"a subscription on another handle skips nothing", func(e *env) {
		other := e.second()
		ctx, cancel := context.WithTimeout(e.ctx, patience)
		defer cancel()
		const n = 8 * 30
		var wg sync.WaitGroup
		wg.Go(func() {
			next := driver.Position(1)
			err := subscribe(ctx, other.log, everything, 0, func(r driver.Record) bool {
				if r.Position != next {
					e.Errorf("position %d comes where %d should", r.Position, next)
				}
				next = r.Position + 1
				return r.Position < n
			})
			if err != nil {
				e.Errorf("the subscription ended with %v before position %d", err, next)
			}
		})
		busy(e, 8, 30)
		wg.Wait()
	}},
	{"another handle can be written to or says why not", func(e *env) {
		other := e.second()
		r, err := other.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1)})
		if why := other.info().ReadOnly; why != "" {
			if !errors.Is(err, driver.ErrReadOnly) {
				e.Errorf("an append to a log that is read-only (%s) returned %+v and %v", why, r, err)
			}
			if s, ok := other.log.(driver.Stater); ok && s.State() != nil {
				e.Errorf("a log that is read-only has a state")
			}
			return
		}
		if err != nil {
			e.Fatal(err)
		}
		e.reaches(r.Last)
	}},
	{"writers on two handles exclude each other", func(e *env) {
		other := e.second()
		if why := other.info().ReadOnly; why != "" {
			e.Skipf("the other handle is read-only: %s", why)
		}
		handles := []driver.Log{e.log, other.log}
		race(e, 8, func(w int) error {
			for v := uint64(0); v < 20; {
				_, err := handles[w%2].Append(e.ctx, driver.Batch{Events: []driver.Event{e.event("item-1", fmt.Sprint("A", w))},
					Conditions: []driver.Condition{driver.StreamAt("item-1", v)}})
				var conflict *driver.ConflictError
				switch {
				case err == nil:
					v++
				case errors.As(err, &conflict):
					v = conflict.Version
				default:
					return err
				}
			}
			return nil
		})
		equal(e.T, "records", len(e.all()), 20)
	}},
	{"closing another handle leaves the first", func(e *env) {
		other := e.second()
		e.append(e.events("item-1", 1)...)
		if err := other.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		e.append(e.events("item-1", 1)...)
		equal(e.T, "records", len(e.all()), 2)
	}},
}

// second returns an env on another handle of e's log.
func (e *env) second() *env {
	e.Helper()
	other := *e
	other.log = other.closing(e.h.Second(e.T, e.log))
	return &other
}

// reaches waits until the log's head is at p or beyond.
func (e *env) reaches(p driver.Position) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	if head, err := e.log.Wait(ctx, p-1); err != nil || head < p {
		e.Fatalf("Wait(%d) returned %d and %v", p-1, head, err)
	}
}
