package drivertest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
)

var idTests = []test{
	{"the same batch again returns the first receipt", func(e *env) {
		events := []driver.Event{e.event("item-1", "A"), e.event("", "B", "k:v"), e.event("item-2", "C")}
		first := e.append(events...)
		e.append(e.events("item-1", 3)...)
		for range 2 {
			repeats(e, driver.Batch{Events: events}, first)
		}
		equal(e.T, "records", len(e.all()), 6)
	}},
	{"IDs are looked at before conditions", func(e *env) {
		b := driver.Batch{Events: e.events("item-1", 2), Conditions: []driver.Condition{driver.StreamAbsent("item-1"), driver.NoneAfter(everything, 0)}}
		first := e.appendBatch(b)
		repeats(e, b, first)
		b.Conditions = []driver.Condition{driver.NoneAfter(everything, 1<<40)}
		repeats(e, b, first)
		b.Conditions = nil
		repeats(e, b, first)
		other := slices.Clone(b.Events)
		other[1].Type = "Other"
		refusesID(e, driver.Batch{Events: other, Conditions: []driver.Condition{driver.StreamAbsent("item-1")}})
	}},
	{"IDs are looked at before the time", func(e *env) {
		e, c := e.withClock()
		b := driver.Batch{Events: e.events("item-1", 2), Time: c.now()}
		first := e.appendBatch(b)
		c.advance(time.Hour)
		e.append(e.events("item-1", 1)...)
		repeats(e, b, first)
	}},
	{"the form is looked at before the IDs", func(e *env) {
		events := e.events("item-1", 2)
		e.append(events...)
		events[1].Type = ""
		refuses[*driver.InvalidError](e, driver.Batch{Events: events})
	}},
	{"a repeated batch may have other metadata and another time of occurrence", func(e *env) {
		events := e.events("item-1", 1)
		first := e.append(events...)
		before := e.all()
		events[0].Metadata = driver.NewMetadata(map[string]string{"correlation": "2"})
		events[0].Occurred = time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
		repeats(e, driver.Batch{Events: events}, first)
		same(e.T, e.all(), before)
	}},
	{"an ID with other content is an error that names it and its place", func(e *env) {
		e.append(e.events("item-9", 2)...)
		ev := e.event("item-1", "A", "a:1", "b:2")
		at := e.append(ev).First
		for name, change := range map[string]func(ev *driver.Event){
			"stream":      func(ev *driver.Event) { ev.Stream = "item-2" },
			"no stream":   func(ev *driver.Event) { ev.Stream = "" },
			"type":        func(ev *driver.Event) { ev.Type = "B" },
			"encoding":    func(ev *driver.Event) { ev.Encoding = "cbor" },
			"data":        func(ev *driver.Event) { ev.Data = append(slices.Clone(ev.Data), ' ') },
			"no data":     func(ev *driver.Event) { ev.Data = nil },
			"tags":        func(ev *driver.Event) { ev.Tags = []string{"a:1", "b:3"} },
			"no tags":     func(ev *driver.Event) { ev.Tags = nil },
			"tags' order": func(ev *driver.Event) { ev.Tags = []string{"b:2", "a:1"} },
		} {
			other := ev
			change(&other)
			err := refusesID(e, driver.Batch{Events: []driver.Event{other}})
			equal(e.T, "position for other "+name, err.Position, at)
		}
	}},
	{"a batch known in part is an error", func(e *env) {
		known := e.events("item-1", 4)
		e.append(known...)
		fresh := e.events("item-1", 2)
		for name, events := range map[string][]driver.Event{
			"its beginning":          known[:2],
			"its end":                known[2:],
			"its middle":             known[1:3],
			"one of it":              known[3:],
			"more at the end":        append(slices.Clone(known), fresh[0]),
			"more at the beginning":  append(slices.Clone(fresh[:1]), known...),
			"more in the middle":     slices.Insert(slices.Clone(known), 2, fresh[0]),
			"one left out":           slices.Delete(slices.Clone(known), 1, 2),
			"another order":          {known[1], known[0], known[2], known[3]},
			"new and known":          {fresh[0], known[0]},
			"known, new and unknown": {known[0], fresh[0], fresh[1]},
		} {
			e.Log(name)
			refusesID(e, driver.Batch{Events: events})
		}
		equal(e.T, "repeated", e.append(fresh...).Repeated, false)
	}},
	{"events of two batches are not a batch", func(e *env) {
		a, b := e.events("item-1", 2), e.events("item-1", 2)
		first := e.append(a...)
		e.append(b...)
		refusesID(e, driver.Batch{Events: append(slices.Clone(a), b...)})
		refusesID(e, driver.Batch{Events: []driver.Event{a[1], b[0]}})
		repeats(e, driver.Batch{Events: a}, first)
	}},
	{"IDs are known over the whole history", func(e *env) {
		var batches []driver.Batch
		var receipts []driver.Receipt
		for i := range 300 {
			b := driver.Batch{Events: e.events(fmt.Sprintf("item-%d", i%17), 1+i%4)}
			batches = append(batches, b)
			receipts = append(receipts, e.appendBatch(b))
		}
		for i := 0; i < len(batches); i += 7 {
			repeats(e, batches[i], receipts[i])
		}
	}},
	{"the same batch from many writers at once is appended once", func(e *env) {
		for n := range 60 {
			b := driver.Batch{Events: e.events(fmt.Sprintf("item-%d", n), 1+n%3), Conditions: []driver.Condition{driver.StreamAbsent(fmt.Sprintf("item-%d", n))}}
			var firsts atomic.Int32
			var receipts [6]driver.Receipt
			race(e, len(receipts), func(w int) (err error) {
				receipts[w], err = e.log.Append(e.ctx, b)
				if err == nil && !receipts[w].Repeated {
					firsts.Add(1)
				}
				return err
			})
			if firsts.Load() != 1 && !isFlaky(e.log) {
				e.Fatalf("%d of %d writers of one batch were the first", firsts.Load(), len(receipts))
			}
			for _, r := range receipts {
				sameReceipt(e.T, r, receipts[0])
			}
			equal(e.T, "records", len(e.read(ofStream(b.Events[0].Stream), driver.ReadOptions{})), len(b.Events))
		}
	}},
	{"an ID that differs in one bit is another", func(e *env) {
		ev := e.event("item-1", "A")
		e.append(ev)
		for bit := range 128 {
			other := ev
			other.ID[bit/8] ^= 1 << (bit % 8)
			other.Data = fmt.Append(nil, bit)
			equal(e.T, fmt.Sprintf("repeated with bit %d changed", bit), e.append(other).Repeated, false)
		}
	}},
}

// repeats appends b, which the log holds already with the receipt first.
func repeats(e *env, b driver.Batch, first driver.Receipt) {
	e.Helper()
	head := e.head()
	r := e.appendBatch(b)
	sameReceipt(e.T, r, first)
	equal(e.T, "repeated", r.Repeated, true)
	equal(e.T, "head", e.head(), head)
}

// refusesID appends b, whose IDs are known otherwise, and checks that the
// error names one of them and where it is.
func refusesID(e *env, b driver.Batch) *driver.IDError {
	e.Helper()
	err := refuses[*driver.IDError](e, b)
	if !slices.ContainsFunc(b.Events, func(ev driver.Event) bool { return ev.ID == err.ID }) {
		e.Errorf("the error names ID %s, which is not in the batch", err.ID)
	}
	got := e.read(items(driver.Item{IDs: []driver.ID{err.ID}}), driver.ReadOptions{})
	if len(got) != 1 || got[0].Position != err.Position {
		e.Errorf("the error places ID %s at %d, the log at %v", err.ID, err.Position, positions(got))
	}
	if err.Reason == "" {
		e.Errorf("the error gives no reason")
	}
	return err
}
