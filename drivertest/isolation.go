package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
)

var isolationTests = []test{
	{"two logs never see each other", func(e *env) {
		other := e.another(nil)
		if a, b := e.info().LogID, other.info().LogID; a == b {
			e.Errorf("two logs have the ID %s", a)
		}
		events := e.events("item-1", 3)
		for _, b := range []driver.Batch{
			{Events: events, Conditions: []driver.Condition{driver.StreamAbsent("item-1"), driver.NoneAfter(everything, 0)}},
			{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.StreamAt("item-1", 3)}},
		} {
			first := e.appendBatch(b)
			second := other.appendBatch(b)
			equal(e.T, "repeated", second.Repeated, false)
			equal(e.T, "first position", second.First, first.First)
		}
		e.append(e.events("item-2", 2)...)
		equal(e.T, "records", len(e.all()), 6)
		equal(e.T, "records of the other", len(other.all()), 4)
		equal(e.T, "version in the other", other.conflict(driver.StreamPresent("item-2")).Version, 0)
	}},
	{"an append to one log does not wake a wait on another", func(e *env) {
		other := e.another(nil)
		ctx, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
		defer cancel()
		woken := other.waiting(ctx, 0)
		e.append(e.events("item-1", 3)...)
		if w := woken(e); !errors.Is(w.err, context.DeadlineExceeded) {
			e.Errorf("Wait(0) on an empty log returned %d and %v", w.head, w.err)
		}
	}},
	{"their states are apart", func(e *env) {
		e.save(e.state(), "key", "a", 0)
		other := e.another(nil)
		if _, _, err := other.state().Load(e.ctx, "key"); !errors.Is(err, driver.ErrNotFound) {
			e.Errorf("Load from the other log returned %v", err)
		}
	}},
	{"closing one leaves the other", func(e *env) {
		other := e.another(nil)
		if err := other.log.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
		e.append(e.events("item-1", 1)...)
		equal(e.T, "records", len(e.all()), 1)
	}},
}
