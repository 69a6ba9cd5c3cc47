package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/annals-db/annals/driver"
)

var everything = driver.Query{}

var readTests = []test{
	{"an empty log yields nothing", func(e *env) {
		equal(e.T, "forwards", len(e.all()), 0)
		equal(e.T, "backwards", len(e.read(everything, driver.ReadOptions{Backward: true})), 0)
		equal(e.T, "of a stream", len(e.read(ofStream("item-1"), driver.ReadOptions{})), 0)
	}},
	{"the bounds are strictly after and up to and with", func(e *env) { eachBound(e, everything) }},
	{"the bounds hold for a query likewise", func(e *env) { eachBound(e, ofStream("item-1")) }},
	{"a position beyond the head is an error", func(e *env) {
		e.append(e.events("item-1", 3)...)
		for _, o := range []driver.ReadOptions{{After: 4}, {UpTo: 4}, {After: 1 << 60}, {UpTo: 1 << 60}, {After: ^driver.Position(0)}, {UpTo: 4, Backward: true}} {
			for _, q := range []driver.Query{everything, ofStream("item-1"), ofStream("unknown")} {
				got, err := collect(e.ctx, e.log, q, o)
				var pe *driver.PositionError
				if !errors.As(err, &pe) || !errors.Is(err, driver.ErrNotFound) || len(got) > 0 {
					e.Errorf("Read %s %+v yields %v and %v", q, o, positions(got), err)
				} else if pe.Head != 3 {
					e.Errorf("the error says that the head is %d", pe.Head)
				}
			}
		}
	}},
	{"nothing starts until it is ranged over", func(e *env) {
		records := e.log.Read(e.ctx, everything, driver.ReadOptions{})
		e.append(e.events("item-1", 2)...)
		n := 0
		for _, err := range records {
			if err != nil {
				e.Fatal(err)
			}
			n++
		}
		equal(e.T, "records", n, 2)
	}},
	{"a read sees the log as it is when ranging begins", func(e *env) {
		for _, q := range []driver.Query{everything, ofStream("item-1"), {Items: []driver.Item{{Types: []string{"Happened"}}}}} {
			e.append(e.events("item-1", 5)...)
			want := e.read(q, driver.ReadOptions{})
			for _, backward := range []bool{false, true} {
				var got []driver.Record
				for r, err := range e.log.Read(e.ctx, q, driver.ReadOptions{Backward: backward, UpTo: want[len(want)-1].Position}) {
					if err != nil {
						e.Fatal(err)
					}
					got = append(got, r)
					if len(got) < 5 {
						e.append(e.event("item-1", "Happened"))
					}
				}
				if backward {
					slices.Reverse(got)
				}
				same(e.T, got, want)
			}
			n := len(e.read(q, driver.ReadOptions{}))
			for range e.log.Read(e.ctx, q, driver.ReadOptions{}) {
				if n--; n > 0 {
					e.append(e.event("item-1", "Happened"))
				}
			}
			equal(e.T, "records beyond those at the beginning", n, 0)
		}
	}},
	{"a sequence can be ranged over again and sees the log then", func(e *env) {
		records := e.log.Read(e.ctx, everything, driver.ReadOptions{})
		for want := range 3 {
			n := 0
			for range records {
				n++
			}
			equal(e.T, "records", n, want)
			e.append(e.events("item-1", 1)...)
		}
	}},
	{"leaving the loop releases everything", func(e *env) {
		e.append(e.events("item-1", 20)...)
		for i := range 300 {
			for _, err := range e.log.Read(e.ctx, everything, driver.ReadOptions{Backward: i%2 == 0}) {
				if err != nil {
					e.Fatal(err)
				}
				break
			}
		}
		e.append(e.events("item-1", 1)...)
		if err := e.log.Close(); err != nil {
			e.Errorf("Close after reads that were left: %v", err)
		}
	}},
	{"reads may be nested and run beside appends", func(e *env) {
		e.append(e.events("item-1", 10)...)
		n := 0
		for outer := range e.log.Read(e.ctx, everything, driver.ReadOptions{UpTo: 10}) {
			for inner := range e.log.Read(e.ctx, everything, driver.ReadOptions{UpTo: 10, Backward: true}) {
				if inner.Position == outer.Position {
					e.append(e.event("item-2", "Happened"))
				}
				n++
			}
		}
		equal(e.T, "records", n, 100)
		equal(e.T, "head", e.head(), 20)
	}},
	{"records may be kept", func(e *env) {
		for i := range 200 {
			ev := e.event(fmt.Sprintf("item-%d", i%5), "Happened", fmt.Sprintf("n:%d", i))
			ev.Metadata = driver.NewMetadata(map[string]string{"actor": fmt.Sprint("a", i)})
			e.append(ev)
		}
		kept := e.all()
		before := fmt.Sprint(kept)
		for range 3 {
			for i := range 50 {
				e.append(e.event(fmt.Sprintf("other-%d", i), "Other"))
			}
			e.read(everything, driver.ReadOptions{Backward: true})
		}
		equal(e.T, "the records kept", fmt.Sprint(kept), before)
	}},
	{"a context that ends ends the read with its error", func(e *env) {
		e.append(e.events("item-1", 50)...)
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		if got, err := collect(ctx, e.log, everything, driver.ReadOptions{}); !errors.Is(err, context.Canceled) || len(got) > 0 {
			e.Errorf("a read with an ended context yields %d records and %v", len(got), err)
		}
		ctx, cancel = context.WithCancel(e.ctx)
		defer cancel()
		var last error
		n := 0
		for _, err := range e.log.Read(ctx, everything, driver.ReadOptions{}) {
			if last != nil {
				e.Fatalf("after the error %v more comes", last)
			}
			if last = err; err == nil {
				n++
			}
			cancel()
		}
		if n < 50 && !errors.Is(last, context.Canceled) {
			e.Errorf("a read whose context ended stops after %d of 50 with %v, as if that were the end", n, last)
		}
	}},
	{"an error is yielded without a record", func(e *env) {
		for r, err := range e.log.Read(e.ctx, everything, driver.ReadOptions{After: 1}) {
			if err == nil || r.Position != 0 {
				e.Errorf("got %+v and %v", r, err)
			}
		}
	}},
}

func ofStream(names ...string) driver.Query {
	return driver.Query{Items: []driver.Item{{Streams: names}}}
}

// eachBound reads q with every combination of bounds of a small log and
// compares with a plain filter of the whole.
func eachBound(e *env, q driver.Query) {
	const n = 9
	for i := range n / 3 {
		e.append(e.event("item-1", "A"), e.event(fmt.Sprintf("item-%d", i), "B"), e.event("item-1", "C"))
	}
	all := e.all()
	equal(e.T, "records", len(all), n)
	for after := range driver.Position(n + 1) {
		for upTo := range driver.Position(n + 1) {
			for limit := range 4 {
				for _, backward := range []bool{false, true} {
					o := driver.ReadOptions{After: after, UpTo: upTo, Limit: limit, Backward: backward}
					got := e.read(q, o)
					if want := filtered(all, q, o); !slices.Equal(positions(got), positions(want)) {
						e.Fatalf("Read %s %+v yields %v, want %v", q, o, positions(got), positions(want))
					}
				}
			}
		}
	}
}

// filtered is what a read of q with o yields from a log that holds all.
func filtered(all []driver.Record, q driver.Query, o driver.ReadOptions) []driver.Record {
	var out []driver.Record
	for _, r := range all {
		if r.Position > o.After && (o.UpTo == 0 || r.Position <= o.UpTo) && q.Matches(&r.Event) {
			out = append(out, r)
		}
	}
	if o.Backward {
		slices.Reverse(out)
	}
	if o.Limit > 0 && len(out) > o.Limit {
		out = out[:o.Limit]
	}
	return out
}
