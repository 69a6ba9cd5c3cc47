package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

var appendTests = []test{
	{"a new log is empty", func(e *env) {
		info := e.info()
		equal(e.T, "head", info.Head, 0)
		equal(e.T, "time", info.Time.IsZero(), true)
		equal(e.T, "read-only", info.ReadOnly, "")
		equal(e.T, "records", len(e.all()), 0)
		if info.LogID == (driver.ID{}) || info.Store == "" || info.Durability == "" || info.Limits == (driver.Limits{}) {
			e.Errorf("Info leaves something out: %+v", info)
		}
	}},
	{"the receipt says where the batch is and how durable", func(e *env) {
		e.append(e.events("item-1", 3)...)
		before := time.Now()
		r := e.append(e.event("item-1", "A"), e.event("item-2", "B"), e.event("", "C", "k:v"), e.event("item-1", "D"))
		equal(e.T, "durability", r.Durability, e.info().Durability)
		equal(e.T, "repeated", r.Repeated, false)
		equal(e.T, "versions", r.Versions, []uint64{4, 1, 0, 5})
		equal(e.T, "positions", int(r.Last-r.First), 3)
		if r.Time.Before(before.Add(-time.Minute)) || r.Time.After(time.Now().Add(time.Minute)) || r.Time.Location() != time.UTC {
			e.Errorf("the receipt's time is %v", r.Time)
		}
		for i, rec := range e.read(driver.Query{}, driver.ReadOptions{After: r.First - 1}) {
			equal(e.T, "position", rec.Position, r.First+driver.Position(i))
			equal(e.T, "version", rec.Version, r.Versions[i])
			equal(e.T, "time", instant(rec.Time), instant(r.Time))
			equal(e.T, "batch", rec.Batch, r.First)
		}
	}},
	{"what is acknowledged can be read at once", func(e *env) {
		for i := range 50 {
			ev := e.event(fmt.Sprintf("item-%d", i%7), "Happened")
			r := e.append(ev)
			if info := e.info(); info.Head < r.Last || instant(info.Time) != instant(r.Time) {
				e.Fatalf("Info says %d at %v after the receipt for %d at %v", info.Head, info.Time, r.Last, r.Time)
			}
			got := e.read(driver.Query{Items: []driver.Item{{Streams: []string{ev.Stream}}}}, driver.ReadOptions{Backward: true, Limit: 1})
			if len(got) != 1 || got[0].ID != ev.ID || got[0].Position != r.Last {
				e.Fatalf("event %s is not the last of its stream: %v", ev.ID, got)
			}
		}
	}},
	{"positions rise from 1", func(e *env) {
		equal(e.T, "first position", e.append(e.event("item-1", "A")).First, 1)
		last := driver.Position(1)
		for i := range 20 {
			r := e.append(e.events("item-1", 1+i%3)...)
			if r.First <= last {
				e.Fatalf("a batch after position %d is at %d", last, r.First)
			}
			last = r.Last
		}
	}},
	{"versions of each stream count 1, 2, 3 with no gap", func(e *env) {
		for i := range 40 {
			e.append(e.event(fmt.Sprintf("item-%d", i%3), "A"), e.event(fmt.Sprintf("item-%d", i%5), "B"), e.event("", "C", "k:v"))
		}
		next := map[string]uint64{}
		for _, r := range e.all() {
			if r.Stream == "" {
				equal(e.T, "version without a stream", r.Version, 0)
				continue
			}
			next[r.Stream]++
			equal(e.T, "version of "+r.Stream, r.Version, next[r.Stream])
		}
	}},
	{"streams are told apart by every byte of their names", func(e *env) {
		names := []string{"item", "item-", "item-1", "item-1 ", "Item-1", "item-10", "item_1", "ítem-1", "i\u0301tem-1"}
		for _, n := range names {
			equal(e.T, "version of the first event of "+n, e.append(e.event(n, "A")).Versions, []uint64{1})
		}
		for i, n := range names {
			got := e.read(driver.Query{Items: []driver.Item{{Streams: []string{n}}}}, driver.ReadOptions{})
			equal(e.T, "records of "+n, positions(got), []driver.Position{driver.Position(i + 1)})
		}
	}},
	{"the caller owns the batch's memory again", func(e *env) {
		b := driver.Batch{
			Events: []driver.Event{{ID: e.id(), Stream: "item-1", Type: "A", Data: []byte(`"data"`), Tags: []string{"k:v"},
				Metadata: driver.NewMetadata(map[string]string{"actor": "ann"})}},
			Conditions: []driver.Condition{driver.NoneAfter(driver.Query{Items: []driver.Item{{
				Types: []string{"T"}, Tags: []string{"a:b"}, Streams: []string{"s-1"}, IDs: []driver.ID{{1}}}}}, 0)},
		}
		e.appendBatch(b)
		before := fmt.Sprint(e.all())
		ev, item := &b.Events[0], &b.Conditions[0].Query.Items[0]
		ev.Data[1], ev.Tags[0], ev.Metadata[0].Value = 'X', "X:X", "X"
		item.Types[0], item.Tags[0], item.Streams[0], item.IDs[0] = "X", "X", "X", driver.ID{9}
		ev.Stream, b.Conditions[0].Kind = "X", 99
		equal(e.T, "the log", fmt.Sprint(e.all()), before)
	}},
	{"an append with an ended context appends nothing", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, err := e.log.Append(ctx, driver.Batch{Events: e.events("item-1", 1)})
		if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrOutcomeUnknown) {
			e.Errorf("Append returned %v", err)
		}
		e.append(e.events("item-2", 1)...)
		equal(e.T, "records", len(e.all()), 1)
	}},
	{"an append whose context ends on the way is there, is not, or says it is unknown and can be repeated", func(e *env) {
		for i := range 100 {
			ctx, cancel := context.WithTimeout(e.ctx, time.Duration(i)*20*time.Microsecond)
			b := driver.Batch{Events: e.events(fmt.Sprintf("item-%d", i), 2)}
			_, err := e.log.Append(ctx, b)
			cancel()
			want := 2
			if errors.Is(err, driver.ErrOutcomeUnknown) {
				e.appendBatch(b)
			} else if err != nil {
				want = 0
			}
			got := e.read(driver.Query{Items: []driver.Item{{Streams: []string{b.Events[0].Stream}}}}, driver.ReadOptions{})
			if len(got) != want {
				e.Fatalf("after error %v the log holds %d events of the batch, want %d", err, len(got), want)
			}
		}
	}},
	{"many writers at once each get a place of their own", func(e *env) {
		var wg sync.WaitGroup
		receipts := make([]driver.Receipt, 32*20)
		for w := range 32 {
			wg.Go(func() {
				for i := range 20 {
					b := driver.Batch{Events: e.events(fmt.Sprintf("item-%d", w%4), 1+i%3)}
					r, err := e.log.Append(e.ctx, b)
					if err != nil {
						e.Errorf("Append: %v", err)
						return
					}
					receipts[w*20+i] = r
				}
			})
		}
		wg.Wait()
		all := e.all()
		taken := map[driver.Position]bool{}
		for _, r := range receipts {
			for p := r.First; p <= r.Last; p++ {
				if p == 0 || taken[p] {
					e.Fatalf("position %d was given twice", p)
				}
				taken[p] = true
			}
		}
		equal(e.T, "records", len(all), len(taken))
		for _, r := range all {
			if !taken[r.Position] {
				e.Fatalf("position %d is in no receipt", r.Position)
			}
		}
	}},
}
