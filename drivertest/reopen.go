package drivertest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals/driver"
)

var reopenTests = []test{
	{"an empty log stays the same log", func(e *env) {
		before := e.info()
		e.reopen()
		equal(e.T, "info", e.info(), before)
		equal(e.T, "first position", e.append(e.events("item-1", 1)...).First, 1)
	}},
	{"everything acknowledged is there as it was", func(e *env) {
		zoo(e)
		e.appendIf([]driver.Condition{driver.StreamAbsent("item-99"), driver.NoneAfter(tagged("no:ne"), 3)}, oddEvents(e)...)
		all, info := e.all(), e.info()
		for range 3 {
			e.reopen()
			same(e.T, e.all(), all)
			equal(e.T, "info", e.info(), info)
		}
		matchesIn(e, all, items(driver.Item{Types: []string{"Moved"}}), tagged("size:1"), ofStream("item-1"), items(driver.Item{Category: "item"}))
		r := rand.New(rand.NewPCG(5, 6))
		for range 50 {
			matchesIn(e, all, randomQuery(r))
		}
	}},
	{"positions and versions go on", func(e *env) {
		for i := range 4 {
			n := driver.Position(i * 3)
			r := e.append(e.event("item-1", "A"), e.event("item-2", "B"), e.event("item-1", "C"))
			equal(e.T, "first position", r.First, n+1)
			equal(e.T, "versions", r.Versions, []uint64{uint64(2*i + 1), uint64(i + 1), uint64(2*i + 2)})
			e.reopen()
		}
	}},
	{"IDs are still known", func(e *env) {
		b := driver.Batch{Events: e.events("item-1", 3), Conditions: []driver.Condition{driver.StreamAbsent("item-1")}}
		first := e.appendBatch(b)
		e.append(e.events("item-1", 2)...)
		e.reopen()
		repeats(e, b, first)
		refusesID(e, driver.Batch{Events: b.Events[:2]})
		b.Events[2].Type = "Other"
		refusesID(e, b)
	}},
	{"conditions are judged over what was there", func(e *env) {
		e.append(e.event("item-1", "A", "k:v"), e.event("item-1", "B"))
		e.reopen()
		equal(e.T, "version", e.conflict(driver.StreamAbsent("item-1")).Version, 2)
		equal(e.T, "position", e.conflict(driver.NoneAfter(tagged("k:v"), 0)).Position, 1)
		e.appendIf([]driver.Condition{driver.StreamAt("item-1", 2), driver.NoneAfter(tagged("k:v"), 1), driver.StreamAbsent("item-2")}, e.events("item-1", 1)...)
	}},
	{"time does not run backwards where the clock has gone back", func(e *env) {
		e, c := e.withClock()
		last := e.append(e.events("item-1", 1)...).Time
		c.advance(-time.Hour)
		e.reopen()
		equal(e.T, "time", instant(e.append(e.events("item-1", 1)...).Time), instant(last))
		c.set(last.Add(1))
		equal(e.T, "time", instant(e.append(e.events("item-1", 1)...).Time), instant(last.Add(1)))
		timesRise(e)
	}},
	{"tree heads are the same", func(e *env) {
		h := capability[driver.Hasher](e)
		zoo(e)
		var before [][32]byte
		for p := driver.Position(0); p <= e.head(); p++ {
			before = append(before, e.treeHead(h, p))
		}
		e.reopen()
		h = e.log.(driver.Hasher)
		for p, want := range before {
			equal(e.T, fmt.Sprintf("tree head at %d", p), e.treeHead(h, driver.Position(p)), want)
		}
	}},
	{"the state is there with its revisions", func(e *env) {
		s := e.state()
		rev := e.save(s, "a/1", "one", 0)
		gone := e.save(s, "a/2", "two", 0)
		if err := s.Delete(e.ctx, "a/2", gone); err != nil {
			e.Fatal(err)
		}
		e.reopen()
		s = e.state()
		if got, at, err := s.Load(e.ctx, "a/1"); string(got) != "one" || at != rev || err != nil {
			e.Errorf("Load returned %q at %d and %v, want revision %d", got, at, err, rev)
		}
		if again := e.save(s, "a/2", "two", 0); again == gone {
			e.Errorf("a key made again has its old revision %d", gone)
		}
		e.save(s, "a/1", "uno", rev)
	}},
	{"many appends and reopenings agree with a log that was never closed", func(e *env) {
		e.seeds(1, func(e *env, r *rand.Rand) {
			var want []driver.Record
			for range 8 {
				for range r.IntN(20) {
					b := driver.Batch{}
					for range 1 + r.IntN(5) {
						b.Events = append(b.Events, zooEvent(e.id(), r))
					}
					want = append(want, recordsOf(b, e.appendBatch(b))...)
				}
				e.reopen()
				same(e.T, e.all(), want)
			}
		})
	}},
}
