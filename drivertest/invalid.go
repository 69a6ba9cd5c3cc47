package drivertest

import (
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
)

var invalidTests = []test{
	{"a batch without events", func(e *env) {
		err := refuses[*driver.InvalidError](e, driver.Batch{})
		equal(e.T, "field", err.Field, "batch")
		equal(e.T, "index", err.Index, -1)
	}},
	{"an event without an ID", func(e *env) { refusesField(e, "id", func(ev *driver.Event) { ev.ID = driver.ID{} }) }},
	{"two events with one ID", func(e *env) {
		for _, n := range []int{2, 40} {
			events := e.events("item-1", n)
			events[n-1].ID = events[0].ID
			err := refuses[*driver.InvalidError](e, driver.Batch{Events: events})
			equal(e.T, "field", err.Field, "id")
			equal(e.T, "index", err.Index, n-1)
		}
	}},
	{"an event without a type", func(e *env) { refusesField(e, "type", func(ev *driver.Event) { ev.Type = "" }) }},
	{"an event with neither a stream nor tags", func(e *env) {
		refusesField(e, "stream", func(ev *driver.Event) { ev.Stream, ev.Tags = "", nil })
	}},
	{"a stream that is not valid UTF-8 or has a NUL", func(e *env) {
		refusesText(e, "stream", func(ev *driver.Event, s string) { ev.Stream = s })
	}},
	{"a type that is not valid UTF-8 or has a NUL", func(e *env) {
		refusesText(e, "type", func(ev *driver.Event, s string) { ev.Type = s })
	}},
	{"an encoding that is not valid UTF-8 or has a NUL", func(e *env) {
		refusesText(e, "encoding", func(ev *driver.Event, s string) { ev.Encoding = s })
	}},
	{"a tag that is not valid UTF-8 or has a NUL", func(e *env) {
		refusesText(e, "tags[1]", func(ev *driver.Event, s string) { ev.Tags = []string{"k:v", "k:" + s} })
	}},
	{"a tag that is not of the form key:value", func(e *env) {
		for _, t := range []string{"", "k", ":", "k:", ":v"} {
			refusesField(e, "tags[0]", func(ev *driver.Event) { ev.Tags = []string{t} })
		}
	}},
	{"a tag that is given twice", func(e *env) {
		refusesField(e, "tags[2]", func(ev *driver.Event) { ev.Tags = []string{"a:1", "b:1", "a:1"} })
	}},
	{"a metadata key that is empty, given twice or out of order", func(e *env) {
		for _, m := range []driver.Metadata{{{Key: "", Value: "x"}}, {{Key: "a"}, {Key: "a"}}, {{Key: "b"}, {Key: "a"}}} {
			refusesField(e, "metadata", func(ev *driver.Event) { ev.Metadata = m })
		}
	}},
	{"metadata that is not valid UTF-8 or has a NUL", func(e *env) {
		refusesText(e, "metadata key", func(ev *driver.Event, s string) { ev.Metadata = driver.Metadata{{Key: s, Value: "x"}} })
		refusesText(e, "metadata actor", func(ev *driver.Event, s string) { ev.Metadata = driver.Metadata{{Key: "actor", Value: s}} })
	}},
	{"an occurred time that does not fit 64-bit nanoseconds", func(e *env) {
		refusesField(e, "occurred", func(ev *driver.Event) { ev.Occurred = time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC) })
		refusesField(e, "occurred", func(ev *driver.Event) { ev.Occurred = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) })
	}},
	{"a condition of an unknown kind or without a stream", func(e *env) {
		for _, c := range []driver.Condition{{}, {Kind: 99}, driver.StreamAt("", 1), driver.StreamAbsent(""), driver.StreamPresent("")} {
			b := driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.StreamAbsent("item-9"), c}}
			equal(e.T, "field", refuses[*driver.InvalidError](e, b).Field, "conditions[1]")
		}
	}},
	{"a condition whose query names what is not valid UTF-8", func(e *env) {
		for _, i := range []driver.Item{{Types: []string{"A", "\xff"}}, {Tags: []string{"k:\xff"}}, {Streams: []string{"\xff"}}, {Category: "\xff"}} {
			b := driver.Batch{Events: e.events("item-1", 1), Conditions: []driver.Condition{driver.NoneAfter(items(driver.Item{}, i), 0)}}
			equal(e.T, "field", refuses[*driver.InvalidError](e, b).Field, "conditions[0]")
		}
	}},
}

var limitTests = []test{
	{"the limits are stated", func(e *env) {
		l := e.info().Limits
		if l.EventBytes <= 0 || l.BatchBytes < l.EventBytes || l.BatchEvents <= 0 || l.NameBytes <= 0 {
			e.Errorf("the limits are %+v", l)
		}
	}},
	{"an event is taken up to its limit and refused beyond", func(e *env) {
		limit := e.info().Limits.EventBytes
		ev := e.event("item-1", "A")
		ev.Data = []byte(strings.Repeat("x", limit-len(ev.Stream)-len(ev.Type)))
		e.append(ev)
		same(e.T, e.all()[:1], []driver.Record{{Event: ev, Position: 1, Version: 1, Time: e.info().Time, Batch: 1}})
		over := e.event("item-1", "A")
		over.Data = append(ev.Data, 'x')
		refusesLimit(e, driver.Batch{Events: []driver.Event{e.event("item-1", "A"), over}}, 1, "event bytes", limit, limit+1)
	}},
	{"a batch is taken up to its bytes and refused beyond", func(e *env) {
		l := e.info().Limits
		if l.BatchBytes > 64<<20 {
			e.Skipf("the store takes batches of %d bytes", l.BatchBytes)
		}
		var events []driver.Event
		for left := l.BatchBytes; left > 0; {
			ev := e.event("item-1", "A")
			size := min(left, l.EventBytes)
			if left-size > 0 && left-size < 16 {
				size -= 16
			}
			ev.Data = make([]byte, size-len(ev.Stream)-len(ev.Type))
			events, left = append(events, ev), left-size
		}
		r := e.append(events...)
		equal(e.T, "events", int(r.Last), len(events))
		last := e.event("item-1", "A")
		last.Data = nil
		for i := range events {
			events[i].ID = e.id()
		}
		refusesLimit(e, driver.Batch{Events: append(events, last)}, -1, "batch bytes", l.BatchBytes, l.BatchBytes+last.Size())
	}},
	{"a batch with too many events is refused", func(e *env) {
		n := e.info().Limits.BatchEvents
		if n > 100_000 {
			e.Skipf("the store takes %d events in a batch", n)
		}
		refusesLimit(e, driver.Batch{Events: e.events("item-1", n+1)}, -1, "batch events", n, n+1)
	}},
	{"a name is taken up to its limit and refused beyond", func(e *env) {
		limit := e.info().Limits.NameBytes
		name := strings.Repeat("é", limit)[:limit/2*2]
		for field, set := range map[string]func(ev *driver.Event, s string){
			"stream":       func(ev *driver.Event, s string) { ev.Stream = s },
			"type":         func(ev *driver.Event, s string) { ev.Type = s },
			"encoding":     func(ev *driver.Event, s string) { ev.Encoding = s },
			"tags[0]":      func(ev *driver.Event, s string) { ev.Tags = []string{"k:" + s[2:]} },
			"metadata key": func(ev *driver.Event, s string) { ev.Metadata = driver.Metadata{{Key: s}} },
		} {
			ev := e.event("item-1", "A")
			set(&ev, name)
			e.append(ev)
			ev = e.event("item-1", "A")
			set(&ev, name+"xx")
			refusesLimit(e, driver.Batch{Events: []driver.Event{ev}}, 0, "bytes in "+field, limit, len(name)+2)
		}
	}},
	{"a long name is found again", func(e *env) {
		long := strings.Repeat("x", e.info().Limits.NameBytes)
		other := long[:len(long)-1] + "y"
		e.append(e.event(long, "A"), e.event(other, "A"))
		equal(e.T, "positions", positions(e.read(ofStream(other), driver.ReadOptions{})), []driver.Position{2})
		equal(e.T, "version", e.conflict(driver.StreamAbsent(long)).Version, 1)
	}},
}

// refusesField changes the second event of a batch, which must then be refused
// by the name of the field.
func refusesField(e *env, field string, change func(ev *driver.Event)) {
	e.Helper()
	events := e.events("item-1", 3)
	change(&events[1])
	err := refuses[*driver.InvalidError](e, driver.Batch{Events: events})
	equal(e.T, "field", err.Field, field)
	equal(e.T, "index", err.Index, 1)
	if err.Reason == "" {
		e.Errorf("the error gives no reason")
	}
}

func refusesText(e *env, field string, set func(ev *driver.Event, s string)) {
	e.Helper()
	for _, s := range []string{"a\xffb", "\xc3", "a\x00b", "\xed\xa0\x80"} {
		refusesField(e, field, func(ev *driver.Event) { set(ev, s) })
	}
}

func refusesLimit(e *env, b driver.Batch, index int, what string, limit, got int) {
	e.Helper()
	err := refuses[*driver.LimitError](e, b)
	equal(e.T, "error", *err, driver.LimitError{Index: index, What: what, Limit: limit, Got: got})
}
