package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// A subscription is built upon a log from Read, bounded by UpTo, and Wait.
// These tests build the plainest one and check what it is promised.
var subscriptionTests = []test{
	{"catches up and goes live with no gap and no duplicate", func(e *env) {
		e.append(e.events("item-0", 50)...)
		follow(e, 50+8*30, []driver.Query{everything, everything, everything}, func() { busy(e, 8, 30) })
	}},
	{"a filtered one gets each match once and in order", func(e *env) {
		follow(e, 8*30, []driver.Query{ofStream("item-1"), tagged("writer:2"), items(driver.Item{Types: []string{"Even"}}),
			items(driver.Item{Category: "item", Types: []string{"Odd"}}, driver.Item{Tags: []string{"writer:1"}})},
			func() { busy(e, 8, 30) })
	}},
	{"one that begins in the middle sees what lies after", func(e *env) {
		e.append(e.events("item-1", 20)...)
		var got []driver.Record
		err := subscribe(e.ctx, e.log, everything, 13, func(r driver.Record) bool { got = append(got, r); return r.Position < 20 })
		if err != nil || len(got) != 7 || got[0].Position != 14 {
			e.Errorf("got %v and %v", positions(got), err)
		}
	}},
	{"a slow one does not hold back writers", func(e *env) {
		e.append(e.events("item-1", 3)...)
		reading, release := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithTimeout(e.ctx, patience)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			first := true
			_ = subscribe(ctx, e.log, everything, 0, func(r driver.Record) bool {
				if first {
					close(reading)
					<-release
					first = false
				}
				return r.Position < 103
			})
		})
		<-reading
		for range 100 {
			if _, err := e.log.Append(ctx, driver.Batch{Events: e.events("item-1", 1)}); err != nil {
				e.Errorf("Append while a subscriber stands still: %v", err)
				break
			}
		}
		close(release)
		wg.Wait()
	}},
	{"ends promptly when its context does", func(e *env) {
		e.append(e.events("item-1", 3)...)
		ctx, cancel := context.WithCancel(e.ctx)
		ended := make(chan error, 1)
		live := make(chan struct{})
		go func() {
			ended <- subscribe(ctx, e.log, everything, 0, func(r driver.Record) bool {
				if r.Position == 3 {
					close(live)
				}
				return true
			})
		}()
		<-live
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				e.Errorf("the subscription ended with %v", err)
			}
		case <-time.After(patience):
			e.Fatal("the subscription does not end")
		}
	}},
}

// subscribe calls f for each record after a position, for ever, until f
// returns false or ctx ends.
func subscribe(ctx context.Context, log driver.Log, q driver.Query, after driver.Position, f func(driver.Record) bool) error {
	for {
		head, err := log.Wait(ctx, after)
		if err != nil {
			return err
		}
		for r, err := range log.Read(ctx, q, driver.ReadOptions{After: after, UpTo: head}) {
			if err != nil {
				return err
			}
			if !f(r) {
				return nil
			}
		}
		after = head
	}
}

// busy has n writers append m events each, in batches of one to three.
func busy(e *env, n, m int) {
	race(e, n, func(w int) error {
		for i := 0; i < m; {
			var events []driver.Event
			for range min(1+(w+i)%3, m-i) {
				events = append(events, e.event(fmt.Sprintf("item-%d", i%3), []string{"Even", "Odd"}[i%2], fmt.Sprintf("writer:%d", w)))
				i++
			}
			if _, err := e.log.Append(e.ctx, driver.Batch{Events: events}); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow subscribes with each query while write runs, until each has seen the
// last record written, and compares what each got with a filter of the whole
// log, which then has n records more than the one that marks the end.
func follow(e *env, n int, queries []driver.Query, write func()) {
	e.Helper()
	got := make([][]driver.Record, len(queries))
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	last := driver.ID{0xff}
	var wg sync.WaitGroup
	for i, q := range queries {
		q.Items = append(slices.Clone(q.Items), driver.Item{IDs: []driver.ID{last}})
		if len(q.Items) == 1 {
			q = everything
		}
		wg.Go(func() {
			err := subscribe(ctx, e.log, q, 0, func(r driver.Record) bool { got[i] = append(got[i], r); return r.ID != last })
			if err != nil {
				e.Errorf("the subscription to %s ended with %v after %v", q, err, positions(got[i]))
			}
		})
	}
	write()
	e.append(driver.Event{ID: last, Stream: "end", Type: "End"})
	wg.Wait()
	all := e.all()
	equal(e.T, "records", len(all), n+1)
	for i, q := range queries {
		if want := append(filtered(all[:n], q, driver.ReadOptions{}), all[n]); !slices.Equal(positions(got[i]), positions(want)) {
			e.Errorf("the subscription to %s got %v, want %v", q, positions(got[i]), positions(want))
		}
	}
}
