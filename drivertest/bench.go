package drivertest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-db/annals/driver"
)

// Bench runs the benchmarks that all stores share. One operation is one event
// appended or read, so the rate printed beside is events a second in both.
func Bench(b *testing.B, h Harness) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("append/writers=%d", writers), func(b *testing.B) { benchAppend(b, h, writers, 1) })
	}
	b.Run("append/batch=1000", func(b *testing.B) { benchAppend(b, h, 1, 1000) })
	b.Run("read/stream of 100", func(b *testing.B) { benchRead(b, h, 100, ofStream("item-3")) })
	b.Run("read/scan", func(b *testing.B) { benchRead(b, h, 0, everything) })
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("decide/writers=%d", writers), func(b *testing.B) { benchDecide(b, h, writers) })
	}
}

// benchEvent returns an event of ordinary size, made without looking at a clock.
func benchEvent(n uint64, stream string, tags ...string) driver.Event {
	e := driver.Event{Stream: stream, Type: "StockMoved", Tags: tags,
		Data: []byte(`{"invoice":"536365","quantity":6,"unitPrice":2.55,"customer":"17850","country":"United Kingdom"}`)}
	binary.BigEndian.PutUint64(e.ID[:], 0x0190<<48|n)
	e.ID[6], e.ID[8] = 0x70|e.ID[6]&0x0f, 0x80
	binary.BigEndian.PutUint32(e.ID[12:], uint32(n))
	return e
}

// benchAppend appends b.N events by a number of writers.
func benchAppend(b *testing.B, h Harness, writers, batch int) {
	log := benchOpen(b, h)
	var next atomic.Uint64
	b.ResetTimer()
	share(b, writers, batch, func(w int) error {
		events := make([]driver.Event, batch)
		for i := range events {
			events[i] = benchEvent(next.Add(1), fmt.Sprintf("item-%d", w))
		}
		_, err := log.Append(context.Background(), driver.Batch{Events: events})
		return err
	})
}

// benchDecide reads by a tag of the writer's own, and appends if nothing came since.
func benchDecide(b *testing.B, h Harness, writers int) {
	log := benchOpen(b, h)
	ctx := context.Background()
	last := make([]driver.Position, writers)
	var next atomic.Uint64
	b.ResetTimer()
	share(b, writers, 1, func(w int) error {
		tag := fmt.Sprintf("course:%d", w)
		q := items(driver.Item{Types: []string{"StockMoved"}, Tags: []string{tag}})
		for r, err := range log.Read(ctx, q, driver.ReadOptions{After: last[w]}) {
			if err != nil {
				return err
			}
			last[w] = r.Position
		}
		_, err := log.Append(ctx, driver.Batch{Events: []driver.Event{benchEvent(next.Add(1), "", tag)},
			Conditions: []driver.Condition{driver.NoneAfter(q, last[w])}})
		return err
	})
}

// benchRead reads b.N events by a query, again and again, from a log of 100
// streams of 100 events, n of which match (0: all).
func benchRead(b *testing.B, h Harness, n int, q driver.Query) {
	log := benchOpen(b, h)
	const streams, each = 100, 100
	for i := range uint64(each) {
		var events []driver.Event
		for s := range uint64(streams) {
			events = append(events, benchEvent(i*streams+s, fmt.Sprintf("item-%d", s)))
		}
		if _, err := log.Append(context.Background(), driver.Batch{Events: events}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for done := 0; done < b.N; {
		got := 0
		for _, err := range log.Read(context.Background(), q, driver.ReadOptions{Limit: min(b.N-done, streams*each)}) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if done += got; done < b.N && n > 0 && got != n {
			b.Fatalf("read %d events of %d", got, n)
		}
	}
	rate(b)
}

func benchOpen(b *testing.B, h Harness) driver.Log {
	log := h.Open(b, nil)
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
}

// share has writers call f until b.N events are done, size by a call.
func share(b *testing.B, writers, size int, f func(w int) error) {
	var wg sync.WaitGroup
	var done atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for done.Add(int64(size)) < int64(b.N+size) {
				if err := f(w); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	rate(b)
}

func rate(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
