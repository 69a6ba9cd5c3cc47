package drivertest

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals/driver"
)

var timeTests = []test{
	{"time is the clock's, in UTC nanoseconds", func(e *env) {
		e, c := e.withClock()
		for range 5 {
			c.advance(time.Nanosecond)
			r := e.append(e.events("item-1", 2)...)
			equal(e.T, "time", instant(r.Time), instant(c.now().UTC()))
			equal(e.T, "time of the log", instant(e.info().Time), instant(r.Time))
		}
		timesRise(e)
	}},
	{"time never runs backwards however the clock jumps", func(e *env) {
		e.seeds(2, func(e *env, r *rand.Rand) {
			e, c := e.withClock()
			start := c.now()
			var latest time.Time
			for range 60 {
				c.set(start.Add(time.Duration(r.Int64N(int64(48*time.Hour))) - 24*time.Hour))
				receipt := e.append(e.events("item-1", 1+r.IntN(3))...)
				if now := c.now().UTC(); now.After(latest) {
					latest = now
				}
				equal(e.T, "time", instant(receipt.Time), instant(latest))
			}
			timesRise(e)
		})
	}},
	{"a clock that is far behind stands still until it has caught up", func(e *env) {
		e, c := e.withClock()
		first := e.append(e.events("item-1", 1)...).Time
		c.set(time.Unix(0, 0))
		equal(e.T, "time", instant(e.append(e.events("item-1", 1)...).Time), instant(first))
		c.set(first.Add(time.Nanosecond))
		equal(e.T, "time", instant(e.append(e.events("item-1", 1)...).Time), instant(first.Add(time.Nanosecond)))
	}},
	{"a time that is given is taken for the whole batch", func(e *env) {
		at := time.Date(2011, 6, 30, 23, 59, 59, 999999999, time.FixedZone("east", 3600))
		r := e.appendBatch(driver.Batch{Events: e.events("item-1", 3), Time: at})
		equal(e.T, "time", instant(r.Time), instant(at.UTC()))
		for _, rec := range e.all() {
			equal(e.T, "time of the record", instant(rec.Time), instant(at.UTC()))
		}
		r = e.appendBatch(driver.Batch{Events: e.events("item-1", 1), Time: at})
		equal(e.T, "the head's time again", instant(r.Time), instant(at.UTC()))
		r = e.append(e.events("item-1", 1)...)
		if time.Since(r.Time) > time.Hour {
			e.Errorf("an append after an import from the past is at %v", r.Time)
		}
	}},
	{"a time before the head's is refused", func(e *env) {
		r := e.append(e.events("item-1", 1)...)
		err := refuses[*driver.InvalidError](e, driver.Batch{Events: e.events("item-1", 1), Time: r.Time.Add(-1)})
		equal(e.T, "field", err.Field, "time")
		equal(e.T, "index", err.Index, -1)
		e.appendBatch(driver.Batch{Events: e.events("item-1", 1), Time: r.Time})
	}},
	{"a time ahead of the clock holds for later appends too", func(e *env) {
		e, c := e.withClock()
		ahead := c.now().Add(time.Hour).UTC()
		e.appendBatch(driver.Batch{Events: e.events("item-1", 1), Time: ahead})
		equal(e.T, "time", instant(e.append(e.events("item-1", 1)...).Time), instant(ahead))
		timesRise(e)
	}},
	{"a time that does not fit 64-bit nanoseconds is refused", func(e *env) {
		for _, at := range []time.Time{time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)} {
			equal(e.T, "field", refuses[*driver.InvalidError](e, driver.Batch{Events: e.events("item-1", 1), Time: at}).Field, "time")
		}
	}},
	{"times at the ends of 64-bit nanoseconds and at 1970 are kept", func(e *env) {
		for _, ns := range []int64{-1 << 63, -1, 0, 1, 1<<63 - 1} {
			at := time.Unix(0, ns).UTC()
			equal(e.T, "time", instant(e.appendBatch(driver.Batch{Events: e.events("item-1", 1), Time: at}).Time), instant(at))
			equal(e.T, "time of the log", instant(e.info().Time), instant(at))
		}
		for i, r := range e.all() {
			equal(e.T, "time of the record", r.Time.UnixNano(), []int64{-1 << 63, -1, 0, 1, 1<<63 - 1}[i])
		}
		timesRise(e)
	}},
	{"time never runs backwards among racing writers", func(e *env) {
		e, c := e.withClock()
		race(e, 8, func(w int) error {
			for i := range 20 {
				c.advance(time.Duration((w+i)%5-2) * time.Microsecond)
				if _, err := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1)}); err != nil {
					return err
				}
			}
			return nil
		})
		timesRise(e)
	}},
	{"racing imports keep the order of their times", func(e *env) {
		start := time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)
		race(e, 4, func(w int) error {
			for i := range 20 {
				_, err := e.log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1), Time: start.Add(time.Duration(i) * time.Minute)})
				var invalid *driver.InvalidError
				if err != nil && !errors.As(err, &invalid) {
					return err
				}
			}
			return nil
		})
		timesRise(e)
	}},
}

// timesRise checks that times in the log never run backwards and are UTC.
func timesRise(e *env) {
	e.Helper()
	var last time.Time
	for _, r := range e.all() {
		if r.Time.Before(last) && !last.IsZero() {
			e.Fatalf("position %d is at %v, the one before at %v", r.Position, r.Time, last)
		}
		if r.Time.Location() != time.UTC {
			e.Fatalf("position %d is at %v, which is not UTC", r.Position, r.Time)
		}
		last = r.Time
	}
}
