// Package load puts a simple, honest load on a log and measures it: every
// append is waited for until it is as durable as the log says. [Run] is all.
package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// Options of a load.
type Options struct {
	Writers  int           // at once. Defaults to 64
	Batch    int           // events in an append. Defaults to 1
	Bytes    int           // of payload in an event, about. Defaults to 200
	Duration time.Duration // of appending. Defaults to 5 s
}

// Result is what was measured.
type Result struct {
	Writers, Batch, Bytes int
	Appends, Events       int
	Elapsed               time.Duration // of appending
	P50, P99, Max         time.Duration // of one append
	Durability            string        // as the receipts say
	Scanned               int           // events read back, in order
	ScanElapsed           time.Duration
}

// Run appends to log and reads what it appended back. When ctx ends it stops
// and says what was measured up to then.
func Run(ctx context.Context, log driver.Log, o Options) (Result, error) {
	o.Writers, o.Batch, o.Bytes = or(o.Writers, 64), or(o.Batch, 1), or(o.Bytes, 200)
	if o.Duration <= 0 {
		o.Duration = 5 * time.Second
	}
	r := Result{Writers: o.Writers, Batch: o.Batch, Bytes: o.Bytes}
	before, err := log.Info(ctx)
	if err != nil {
		return r, err
	}
	took, err := write(ctx, log, o, &r)
	slices.Sort(took)
	if n := len(took); n > 0 {
		r.Appends, r.Events = n, n*o.Batch
		r.P50, r.P99, r.Max = took[n/2], took[n*99/100], took[n-1]
	}
	if err != nil {
		return r, err
	}
	begin := time.Now()
	for _, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: before.Head}) {
		if err != nil {
			return r, err
		}
		r.Scanned++
	}
	r.ScanElapsed = time.Since(begin)
	return r, nil
}

func or(n, standard int) int {
	if n <= 0 {
		return standard
	}
	return n
}

// write appends from all writers until the time is over, and returns how long
// each append took.
func write(ctx context.Context, log driver.Log, o Options, r *Result) ([]time.Duration, error) {
	var (
		mu   sync.Mutex
		all  []time.Duration
		errs []error
		wg   sync.WaitGroup
	)
	begin := time.Now()
	end := begin.Add(o.Duration)
	for w := range o.Writers {
		wg.Go(func() {
			var took []time.Duration
			var durability string
			var err error
			for n := 0; err == nil && time.Now().Before(end) && ctx.Err() == nil; n++ {
				b := batch(o, w, n)
				start := time.Now()
				var rc driver.Receipt
				if rc, err = log.Append(ctx, b); err == nil {
					took = append(took, time.Since(start))
					durability = rc.Durability
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			errs = append(errs, err)
			if durability != "" {
				r.Durability = durability
			}
		})
	}
	wg.Wait()
	r.Elapsed = time.Since(begin)
	return all, errors.Join(context.Cause(ctx), errors.Join(errs...))
}

func batch(o Options, writer, n int) driver.Batch {
	b := driver.Batch{Events: make([]driver.Event, o.Batch)}
	for i := range b.Events {
		data := fmt.Appendf(make([]byte, 0, o.Bytes+64), `{"writer":%d,"number":%d,"fill":"`, writer, n)
		for len(data) < o.Bytes-2 {
			data = append(data, byte('a'+(len(data)*7+n)%26))
		}
		b.Events[i] = driver.Event{ID: uuid.Must(uuid.NewV7()), Stream: fmt.Sprintf("bench-%d", writer), Type: "Measured", Data: append(data, `"}`...)}
	}
	return b
}
