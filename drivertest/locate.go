package drivertest

import (
	"math"
	"time"

	"github.com/annals-db/annals/driver"
)

var locateTests = []test{
	{"the position at a time is the last at or before it", func(e *env) {
		capability[driver.Locator](e)
		start := time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 40 {
			at := start.Add(time.Duration(i/3) * time.Minute) // several batches share a time
			e.appendBatch(driver.Batch{Events: e.events("item-1", 1+i%4), Time: at})
		}
		all := e.all()
		for i := -1; i < 15; i++ {
			for _, off := range []time.Duration{-1, 0, 1, 30 * time.Second} {
				at := start.Add(time.Duration(i)*time.Minute + off)
				want := driver.Position(0)
				for _, r := range all {
					if !r.Time.After(at) {
						want = r.Position
					}
				}
				locates(e, at, want)
			}
		}
	}},
	{"before the first record it is 0 and after the last the head", func(e *env) {
		capability[driver.Locator](e)
		locates(e, time.Now(), 0)
		r := e.append(e.events("item-1", 5)...)
		locates(e, r.Time.Add(-1), 0)
		locates(e, r.Time, 5)
		locates(e, time.Unix(0, math.MaxInt64), 5)
	}},
	{"times beyond 64-bit nanoseconds are before or after everything", func(e *env) {
		capability[driver.Locator](e)
		e.append(e.events("item-1", 5)...)
		locates(e, time.Time{}, 0)
		locates(e, time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), 0)
		locates(e, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 5)
	}},
	{"a time zone makes no difference", func(e *env) {
		capability[driver.Locator](e)
		r := e.append(e.events("item-1", 2)...)
		e.append(e.events("item-1", 2)...)
		at := r.Time.In(time.FixedZone("east", 9*3600))
		got, err := e.log.(driver.Locator).PositionAt(e.ctx, at)
		if err != nil || got < 2 {
			e.Errorf("PositionAt(%v) returned %d and %v", at, got, err)
		}
	}},
}

func locates(e *env, at time.Time, want driver.Position) {
	e.Helper()
	if got, err := e.log.(driver.Locator).PositionAt(e.ctx, at); err != nil || got != want {
		e.Errorf("PositionAt(%v) returned %d and %v, want %d", at, got, err, want)
	}
}
