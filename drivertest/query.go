package drivertest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/annals-db/annals/driver"
)

var queryTests = []test{
	{"a query without items selects everything", func(e *env) { matches(e, driver.Query{}) }},
	{"an item with no field set selects everything", func(e *env) {
		matches(e, items(driver.Item{}))
		matches(e, items(driver.Item{Types: []string{"Nothing"}}, driver.Item{}))
	}},
	{"types select any of them", func(e *env) {
		matches(e, items(driver.Item{Types: []string{"Opened"}}), items(driver.Item{Types: []string{"Closed", "Moved"}}),
			items(driver.Item{Types: []string{"Moved", "Moved"}}))
	}},
	{"tags select what carries all of them", func(e *env) {
		matches(e, items(driver.Item{Tags: []string{"colour:red"}}), items(driver.Item{Tags: []string{"colour:red", "size:2"}}),
			items(driver.Item{Tags: []string{"size:2", "colour:red"}}), items(driver.Item{Tags: []string{"size:2", "size:2"}}),
			items(driver.Item{Tags: []string{"size:2", "size:9"}}), items(driver.Item{Tags: []string{"size:"}}))
	}},
	{"streams select any of them", func(e *env) {
		matches(e, items(driver.Item{Streams: []string{"item-1"}}), items(driver.Item{Streams: []string{"item-2", "item-1", "unknown-1"}}))
	}},
	{"a category selects its streams and no others", func(e *env) {
		matches(e, items(driver.Item{Category: "item"}), items(driver.Item{Category: "items"}), items(driver.Item{Category: "it"}),
			items(driver.Item{Category: "item-1"}), items(driver.Item{Category: "lone"}))
	}},
	{"a record without a stream is in no category", func(e *env) {
		e.append(e.event("", "Free", "k:v"), e.event("-x", "Odd"))
		for _, r := range e.read(items(driver.Item{Category: "-x"}, driver.Item{Category: "item"}), driver.ReadOptions{}) {
			e.Errorf("the record at %d in stream %q is selected", r.Position, r.Stream)
		}
	}},
	{"a stream without a name is not selected by the streams of a query", func(e *env) {
		matches(e, items(driver.Item{Streams: []string{""}}))
	}},
	{"IDs select any of them", func(e *env) {
		all := zoo(e)
		matchesIn(e, all, items(driver.Item{IDs: []driver.ID{all[3].ID}}), items(driver.Item{IDs: []driver.ID{all[9].ID, {1}, all[0].ID}}),
			items(driver.Item{IDs: []driver.ID{{1}}}), items(driver.Item{IDs: []driver.ID{all[3].ID}, Types: []string{"Nothing"}}))
	}},
	{"fields of an item must all match", func(e *env) {
		matches(e, items(driver.Item{Types: []string{"Moved"}, Tags: []string{"colour:red"}}),
			items(driver.Item{Types: []string{"Moved"}, Streams: []string{"item-1"}}),
			items(driver.Item{Category: "item", Tags: []string{"size:1"}, Types: []string{"Opened", "Moved"}}),
			items(driver.Item{Category: "cart", Streams: []string{"item-1"}}))
	}},
	{"items are alternatives and a record comes once", func(e *env) {
		matches(e, items(driver.Item{Types: []string{"Moved"}}, driver.Item{Tags: []string{"colour:red"}}),
			items(driver.Item{Streams: []string{"item-1"}}, driver.Item{Category: "item"}, driver.Item{Types: []string{"Opened"}}),
			items(driver.Item{Types: []string{"Moved"}}, driver.Item{Types: []string{"Moved"}}))
	}},
	{"names that the log does not know select nothing", func(e *env) {
		zoo(e)
		for _, i := range []driver.Item{{Types: []string{"Nothing"}}, {Tags: []string{"no:thing"}}, {Streams: []string{"no-thing"}},
			{Category: "no"}, {IDs: []driver.ID{{7}}}, {Types: []string{"\xff\x00"}}, {Streams: []string{"\xff"}}, {Tags: []string{"no colon"}},
			{Streams: []string{"item-1\x00"}}, {Types: []string{""}}} {
			if got := e.read(items(i), driver.ReadOptions{}); len(got) > 0 {
				e.Errorf("%s yields %v", items(i), positions(got))
			}
		}
	}},
	{"a query may name many streams, types, tags and IDs", func(e *env) {
		var many [4]driver.Query
		for i := range 300 {
			n := fmt.Sprintf("%03d", (i*7)%300) // not in order of position
			e.append(e.event("item-"+n, "Type"+n, "n:"+n), e.event("other-"+n, "Other", "n:x"+n))
			if i%3 > 0 {
				many[0].Items = append(many[0].Items, driver.Item{Tags: []string{"n:" + n}})
			}
		}
		var streams, types []string
		var ids []driver.ID
		for _, r := range e.read(many[0], driver.ReadOptions{Backward: true}) {
			streams, types, ids = append(streams, r.Stream), append(types, r.Type), append(ids, r.ID)
		}
		many[1], many[2], many[3] = ofStream(streams...), items(driver.Item{Types: types}), items(driver.Item{IDs: ids})
		all := e.all()
		for _, q := range many {
			same(e.T, e.read(q, driver.ReadOptions{}), filtered(all, many[0], driver.ReadOptions{}))
			same(e.T, e.read(q, driver.ReadOptions{After: 400, Backward: true}), filtered(all, many[0], driver.ReadOptions{After: 400, Backward: true}))
			c := e.conflict(driver.NoneAfter(q, 590))
			if c.Position <= 590 || !q.Matches(&all[c.Position-1].Event) {
				e.Errorf("the conflict names position %d", c.Position)
			}
		}
	}},
	{"any query selects what it matches", func(e *env) {
		e.seeds(2, func(e *env, r *rand.Rand) {
			all := zoo(e)
			for range 100 {
				matchesIn(e, all, randomQuery(r))
			}
		})
	}},
}

func items(i ...driver.Item) driver.Query { return driver.Query{Items: i} }

var (
	zooTypes   = []string{"Opened", "Closed", "Moved", "MovedBack"}
	zooStreams = []string{"item-1", "item-2", "item-12", "items-1", "cart-1", "lone", "item", ""}
	zooTags    = []string{"colour:red", "colour:redder", "colour:blue", "size:1", "size:2", "size:12"}
)

// zoo appends a varied log and returns it.
func zoo(e *env) []driver.Record {
	e.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		var events []driver.Event
		for range 1 + r.IntN(8) {
			events = append(events, zooEvent(e.id(), r))
		}
		e.append(events...)
	}
	return e.all()
}

// zooEvent returns an event with names drawn from a few.
func zooEvent(id driver.ID, r *rand.Rand) driver.Event {
	ev := driver.Event{ID: id, Type: pick(r, zooTypes), Stream: pick(r, zooStreams), Data: fmt.Appendf(nil, "%d", r.IntN(100))}
	for _, i := range r.Perm(len(zooTags))[:r.IntN(4)] {
		ev.Tags = append(ev.Tags, zooTags[i])
	}
	if ev.Stream == "" && len(ev.Tags) == 0 {
		ev.Tags = []string{pick(r, zooTags)}
	}
	return ev
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// some returns up to n different elements of from.
func some[T any](r *rand.Rand, from []T, n int) []T {
	var out []T
	for _, i := range r.Perm(len(from))[:r.IntN(n+1)] {
		out = append(out, from[i])
	}
	return out
}

// randomQuery returns a query over the names of the zoo, with a few unknown.
func randomQuery(r *rand.Rand) driver.Query {
	var q driver.Query
	for range r.IntN(4) {
		var i driver.Item
		if r.IntN(2) == 0 {
			i.Types = some(r, append(zooTypes, "Unknown"), 3)
		}
		if r.IntN(2) == 0 {
			i.Tags = some(r, append(zooTags, "un:known"), 2)
		}
		if r.IntN(3) == 0 {
			i.Streams = some(r, append(zooStreams, "unknown-1"), 3)
		}
		if r.IntN(4) == 0 {
			i.Category = pick(r, []string{"item", "items", "cart", "lone", "unknown"})
		}
		q.Items = append(q.Items, i)
	}
	return q
}

// matches reads queries from the zoo and compares with driver.Query.Matches.
func matches(e *env, queries ...driver.Query) { matchesIn(e, zoo(e), queries...) }

func matchesIn(e *env, all []driver.Record, queries ...driver.Query) {
	e.Helper()
	n := driver.Position(len(all))
	for _, q := range queries {
		for _, o := range []driver.ReadOptions{{}, {Backward: true}, {After: n / 3, UpTo: n / 2}, {After: n / 2, Limit: 2}, {UpTo: n / 2, Backward: true, Limit: 3}, {After: n - 1}} {
			got := e.read(q, o)
			if want := filtered(all, q, o); !slices.Equal(positions(got), positions(want)) {
				e.Fatalf("Read %s %+v yields %v, want %v", q, o, positions(got), positions(want))
			}
		}
	}
}
