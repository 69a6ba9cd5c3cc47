package drivertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/annals-db/annals/driver"
)

var batchTests = []test{
	{"a batch is contiguous and keeps its order", func(e *env) {
		var wg sync.WaitGroup
		for w := range 8 {
			batches := make([]driver.Batch, 10)
			for i := range batches {
				batches[i].Events = e.events(fmt.Sprintf("item-%d", w), 2+(w+i)%5)
			}
			wg.Go(func() {
				for _, b := range batches {
					r, err := e.log.Append(e.ctx, b)
					if err != nil {
						e.Errorf("Append: %v", err)
						return
					}
					got, err := collect(e.ctx, e.log, driver.Query{}, driver.ReadOptions{After: r.First - 1, UpTo: r.Last})
					if err != nil || len(got) != len(b.Events) {
						e.Errorf("a batch of %d reads back as %v, error %v", len(b.Events), positions(got), err)
						return
					}
					for i := range got {
						if got[i].ID != b.Events[i].ID || got[i].Position != r.First+driver.Position(i) {
							e.Errorf("event %d of the batch at %d is elsewhere: %v", i, r.First, got[i])
						}
					}
				}
			})
		}
		wg.Wait()
	}},
	{"a batch that fails in its last event leaves nothing", func(e *env) {
		e.append(e.events("item-1", 2)...)
		bad := e.events("item-1", 3)
		bad[2].Type = ""
		refuses[*driver.InvalidError](e, driver.Batch{Events: bad})
		repeated := append(e.events("item-1", 2), e.all()[0].Event)
		refuses[*driver.IDError](e, driver.Batch{Events: repeated})
		refuses[*driver.ConflictError](e, driver.Batch{Events: e.events("item-1", 3),
			Conditions: []driver.Condition{driver.StreamAt("item-1", 2), driver.StreamAbsent("item-1")}})
		equal(e.T, "versions", e.append(e.events("item-1", 1)...).Versions, []uint64{3})
	}},
	{"what was refused can be appended later under the same IDs", func(e *env) {
		events := e.events("item-1", 2)
		refuses[*driver.ConflictError](e, driver.Batch{Events: events, Conditions: []driver.Condition{driver.StreamPresent("item-1")}})
		equal(e.T, "repeated", e.append(events...).Repeated, false)
	}},
	{"a reader never sees a part of a batch", func(e *env) {
		const size = 7
		ctx, cancel := context.WithCancel(e.ctx)
		var readers, writers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for ctx.Err() == nil {
					wholeBatches(e, size)
				}
			})
		}
		for w := range 4 {
			writers.Go(func() {
				for range 25 {
					if _, err := e.log.Append(e.ctx, driver.Batch{Events: e.events(fmt.Sprintf("item-%d", w), size)}); err != nil {
						e.Errorf("Append: %v", err)
					}
				}
			})
		}
		writers.Wait()
		cancel()
		readers.Wait()
		wholeBatches(e, size)
	}},
	{"streams may be mixed in a batch", func(e *env) {
		r := e.append(e.event("a-1", "A"), e.event("b-1", "B"), e.event("a-1", "C"), e.event("", "D", "k:v"), e.event("b-1", "E"))
		equal(e.T, "versions", r.Versions, []uint64{1, 1, 2, 0, 2})
	}},
	{"a batch as large as is allowed is taken whole", func(e *env) {
		n := e.info().Limits.BatchEvents
		if n > 100_000 {
			e.Skipf("the store takes %d events in a batch", n)
		}
		events := make([]driver.Event, n)
		for i := range events {
			events[i] = driver.Event{ID: e.id(), Stream: fmt.Sprintf("item-%d", i%10), Type: "A"}
		}
		r := e.append(events...)
		equal(e.T, "last", r.Last, driver.Position(n))
		equal(e.T, "last version", r.Versions[n-1], uint64((n+9)/10))
		equal(e.T, "records", len(e.all()), n)
	}},
}

// wholeBatches reads the log, forwards and by its last record, and checks that
// every batch in it has size events.
func wholeBatches(e *env, size int) {
	records, err := collect(e.ctx, e.log, driver.Query{}, driver.ReadOptions{})
	if err != nil {
		e.Errorf("Read: %v", err)
		return
	}
	count := map[driver.Position]int{}
	for i, r := range records {
		count[r.Batch]++
		if r.Position != driver.Position(i+1) {
			e.Errorf("record %d is at position %d", i+1, r.Position)
			return
		}
	}
	for batch, n := range count {
		if n != size {
			e.Errorf("%d of the %d events of the batch at %d can be read", n, size, batch)
		}
	}
}
