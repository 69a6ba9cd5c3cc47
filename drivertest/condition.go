package drivertest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

var conditionTests = []test{
	{"conditions that hold let the append through", func(e *env) {
		e.append(e.event("item-1", "A"), e.event("item-1", "B"), e.event("item-2", "A", "k:v"))
		for _, c := range []driver.Condition{
			driver.StreamAbsent("item-9"), driver.StreamPresent("item-1"), driver.StreamAt("item-1", 2), driver.StreamAt("item-9", 0),
			driver.NoneAfter(tagged("k:other"), 0), driver.NoneAfter(tagged("k:v"), 3), driver.NoneAfter(everything, 3),
		} {
			r, err := e.log.Append(e.ctx, driver.Batch{Events: []driver.Event{e.event("log-1", "Passed")}, Conditions: []driver.Condition{c}})
			if err != nil {
				e.Errorf("%s: %v", c, err)
			}
			if c.Kind == driver.NoneAfterKind && c.Query.All() && r.First == 0 {
				e.Errorf("%s: no receipt", c)
			}
			e = e.another(nil)
			e.append(e.event("item-1", "A"), e.event("item-1", "B"), e.event("item-2", "A", "k:v"))
		}
	}},
	{"a stream at another version conflicts and says at which it is", func(e *env) {
		e.append(e.events("item-1", 3)...)
		for _, v := range []uint64{0, 1, 2, 4, 1 << 40} {
			equal(e.T, "version", e.conflict(driver.StreamAt("item-1", v)).Version, 3)
		}
		equal(e.T, "version of an absent stream", e.conflict(driver.StreamAt("item-2", 1)).Version, 0)
	}},
	{"a stream that should be absent conflicts and says at which version it is", func(e *env) {
		e.append(e.events("item-1", 2)...)
		equal(e.T, "version", e.conflict(driver.StreamAbsent("item-1")).Version, 2)
	}},
	{"a stream that should be present conflicts if it is not", func(e *env) {
		equal(e.T, "version", e.conflict(driver.StreamPresent("item-1")).Version, 0)
		e.append(e.events("item-10", 2)...)
		equal(e.T, "version", e.conflict(driver.StreamPresent("item-1")).Version, 0)
	}},
	{"none after is strictly greater and names a record that matches", func(e *env) {
		e.append(e.event("item-1", "A", "k:v"), e.event("item-1", "B"), e.event("item-2", "C", "k:v"), e.event("item-2", "D"))
		for after, want := range map[driver.Position]driver.Position{0: 0, 1: 3, 2: 3} {
			c := e.conflict(driver.NoneAfter(tagged("k:v"), after))
			if c.Position != want && !(after == 0 && (c.Position == 1 || c.Position == 3)) {
				e.Errorf("after %d the conflict names position %d", after, c.Position)
			}
		}
		e.appendIf([]driver.Condition{driver.NoneAfter(tagged("k:v"), 3)}, e.event("item-3", "E"))
	}},
	{"none after 0 looks at the whole log", func(e *env) {
		e.append(e.event("item-1", "First"))
		for range 100 {
			e.append(e.event("item-2", "Other"))
		}
		c := e.conflict(driver.NoneAfter(items(driver.Item{Types: []string{"First"}}), 0))
		equal(e.T, "position", c.Position, 1)
	}},
	{"none after with every event", func(e *env) {
		e.appendIf([]driver.Condition{driver.NoneAfter(everything, 0)}, e.event("item-1", "A"))
		equal(e.T, "position", e.conflict(driver.NoneAfter(everything, 0)).Position, 1)
		e.appendIf([]driver.Condition{driver.NoneAfter(everything, 1)}, e.event("item-1", "B"))
		equal(e.T, "position", e.conflict(driver.NoneAfter(everything, 1)).Position, 2)
	}},
	{"none after a position beyond the head is an error", func(e *env) {
		e.append(e.events("item-1", 2)...)
		for _, p := range []driver.Position{3, 1 << 40, ^driver.Position(0)} {
			err := refuses[*driver.PositionError](e, driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.NoneAfter(tagged("k:v"), p)}})
			equal(e.T, "head", err.Head, 2)
			equal(e.T, "is not found", errors.Is(err, driver.ErrNotFound), true)
		}
	}},
	{"the batch's own events do not count", func(e *env) {
		for range 3 {
			e.appendIf([]driver.Condition{driver.NoneAfter(tagged("k:v"), e.head()), driver.NoneAfter(everything, e.head())},
				e.event("item-1", "A", "k:v"), e.event("item-1", "B", "k:v"))
		}
		e.appendIf([]driver.Condition{driver.StreamAbsent("item-2")}, e.events("item-2", 3)...)
		e.appendIf([]driver.Condition{driver.StreamAt("item-2", 3)}, e.events("item-2", 3)...)
	}},
	{"conditions may name what the batch does not write to", func(e *env) {
		e.append(e.events("item-1", 1)...)
		e.appendIf([]driver.Condition{driver.StreamAt("item-1", 1), driver.StreamAbsent("item-3")}, e.event("item-2", "A"))
		e.conflict(driver.StreamAt("item-2", 1), driver.StreamAt("item-1", 0))
	}},
	{"all must hold and the first that fails is named", func(e *env) {
		e.append(e.event("item-1", "A", "k:v"))
		ok, bad := driver.StreamAt("item-1", 1), driver.StreamAbsent("item-1")
		tag := driver.NoneAfter(tagged("k:v"), 0)
		equal(e.T, "index", e.conflict(bad, ok).Index, 0)
		equal(e.T, "index", e.conflict(ok, bad).Index, 1)
		equal(e.T, "index", e.conflict(ok, ok, tag, bad).Index, 2)
		equal(e.T, "index", e.conflict(ok, bad, tag, bad).Index, 1)
	}},
	{"conflict reports where the log stands", func(e *env) {
		e.append(e.events("item-1", 5)...)
		c := e.conflict(driver.StreamAt("item-1", 4))
		equal(e.T, "head", c.Head, 5)
		got := e.read(ofStream("item-1"), driver.ReadOptions{UpTo: c.Head, Backward: true, Limit: 1})
		equal(e.T, "version read up to the head", got[0].Version, c.Version)
	}},
	{"losers leave no trace", func(e *env) {
		e.append(e.events("item-1", 1)...)
		for range 5 {
			e.conflict(driver.StreamAbsent("item-1"))
		}
		equal(e.T, "records of the losers", len(e.read(ofStream("loser"), driver.ReadOptions{})), 0)
		r := e.append(e.event("loser", "A"))
		equal(e.T, "version", r.Versions[0], 1)
		equal(e.T, "position", r.First, 2)
	}},
	{"a condition on any query fails where a record matches", func(e *env) {
		e.seeds(2, func(e *env, r *rand.Rand) {
			all := zoo(e)
			for range 150 {
				q := randomQuery(r)
				after := driver.Position(r.IntN(len(all) + 1))
				want := filtered(all, q, driver.ReadOptions{After: after})
				probe := driver.Batch{Events: []driver.Event{e.event("probe-1", "Probe")}, Conditions: []driver.Condition{
					driver.NoneAfter(q, after), driver.StreamAbsent("lone")}} // the second always fails
				var c *driver.ConflictError
				if _, err := e.log.Append(e.ctx, probe); !errors.As(err, &c) {
					e.Fatalf("Append returned %v", err)
				}
				if fails := c.Index == 0; fails != (len(want) > 0) {
					e.Fatalf("%s: the conflict is %v, but %v match", probe.Conditions[0], c, positions(want))
				}
				if c.Index == 0 && (c.Position <= after || !q.Matches(&all[c.Position-1].Event)) {
					e.Fatalf("%s: the record at %d does not match", probe.Conditions[0], c.Position)
				}
			}
		})
	}},
	{"of writers that exclude each other exactly one wins", func(e *env) {
		for _, c := range []func() driver.Condition{
			func() driver.Condition {
				return driver.StreamAt("item-1", uint64(len(e.read(ofStream("item-1"), driver.ReadOptions{}))))
			},
			func() driver.Condition { return driver.NoneAfter(tagged("k:v"), e.head()) },
			func() driver.Condition { return driver.NoneAfter(everything, e.head()) },
			func() driver.Condition {
				return driver.NoneAfter(items(driver.Item{Category: "item", Types: []string{"Won"}}), e.head())
			},
		} {
			for range 10 {
				oneWins(e, c())
			}
		}
	}},
	{"writers whose conditions do not overlap never conflict", func(e *env) {
		race(e, 16, func(w int) error {
			stream, tag := "item-"+letters(w), "owner:"+letters(w)
			after := driver.Position(0)
			for v := range uint64(15) {
				r, err := e.log.Append(e.ctx, driver.Batch{Events: []driver.Event{e.event(stream, "A", tag)},
					Conditions: []driver.Condition{driver.StreamAt(stream, v), driver.NoneAfter(tagged(tag), after)}})
				if err != nil {
					return err
				}
				after = r.Last
			}
			return nil
		})
	}},
}

func tagged(tags ...string) driver.Query { return items(driver.Item{Tags: tags}) }

func letters(n int) string { return string(rune('a'+n/26)) + string(rune('a'+n%26)) }

// race runs f for n writers at once, released together.
func race(e *env, n int, f func(w int) error) {
	e.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for w := range n {
		wg.Go(func() {
			<-start
			if err := f(w); err != nil {
				e.Errorf("writer %d: %v", w, err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// oneWins lets writers race under c, which the winner's event breaks.
func oneWins(e *env, c driver.Condition) {
	e.Helper()
	const writers = 8
	before := e.head()
	var won atomic.Int32
	race(e, writers, func(w int) error {
		_, err := e.log.Append(e.ctx, driver.Batch{Events: []driver.Event{e.event("item-1", "Won", "k:v")}, Conditions: []driver.Condition{c}})
		var conflict *driver.ConflictError
		if err == nil {
			won.Add(1)
		} else if !errors.As(err, &conflict) {
			return err
		} else if head := e.head(); conflict.Head > head || conflict.Head <= before {
			e.Errorf("the conflict's head is %d; the log's was %d before and is %d after", conflict.Head, before, head)
		}
		return nil
	})
	if won.Load() != 1 {
		e.Fatalf("under %s %d of %d writers won", c, won.Load(), writers)
	}
	equal(e.T, "head", e.head(), before+1)
}
