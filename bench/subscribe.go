package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

const (
	liveSubscriptions = 1000
	offered           = 10_000 // appends a second
)

// subscriptionRows are what many live subscriptions cost writers.
func subscriptionRows() []row {
	return []row{
		subscribersRow("1,000 live subscriptions, a stream each, 10,000 appends/s", func(n int) annals.Query {
			return annals.Match(annals.QueryItem{Streams: streamNames[n%streams : n%streams+1]})
		}),
		subscribersRow("1,000 live subscriptions to everything, 10,000 appends/s", func(int) annals.Query { return annals.Query{} }),
	}
}

func subscribersRow(name string, query func(n int) annals.Query) row {
	return row{name, "appends at 0.8 of the rate without them", func(e env) (result, error) {
		dir, remove := e.scratch("subscriptions")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		if err := fill(log, 10*streams); err != nil {
			return result{}, err
		}
		var each, delivered float64
		c, err := measure.Compare(e.rounds,
			func() (float64, error) { return paced(log, 2*e.window) },
			func() (float64, error) {
				s, err := subscribeMany(annals.New(log, nil), query)
				if err != nil {
					return 0, err
				}
				each = s.bytes
				before, began := s.delivered.Load(), time.Now()
				rate, err := paced(log, 2*e.window)
				delivered = float64(s.delivered.Load()-before) / time.Since(began).Seconds()
				return rate, errors.Join(err, s.end())
			})
		ours := fmt.Sprintf("%s, %s delivered, %.1f kB each", measure.PerSecond(c.Ours), measure.PerSecond(delivered), each/1e3)
		return atLeast(ours, measure.PerSecond(c.Base), c.Ratio, 0.8), err
	}}
}

// paced appends single events from many writers at the rate offered, as far as
// that can be done, and returns the rate that it was done at.
func paced(log driver.Log, window time.Duration) (float64, error) {
	const writers = 200
	next := make([]time.Time, writers)
	producers := make([]*producer, writers)
	for w := range writers {
		producers[w] = newProducer(w, 1)
		next[w] = time.Now().Add(time.Duration(w) * time.Second / offered)
	}
	return measure.Rate(window, writers, func(w int) (int, error) {
		time.Sleep(time.Until(next[w]))
		next[w] = next[w].Add(writers * time.Second / offered)
		_, err := log.Append(context.Background(), producers[w].next())
		return 1, err
	})
}

// subscribers are many live subscriptions.
type subscribers struct {
	delivered atomic.Int64
	bytes     float64 // of memory that each takes
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	failure   atomic.Pointer[error]
}

func subscribeMany(db *annals.DB, query func(n int) annals.Query) (*subscribers, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscribers{cancel: cancel}
	before := inUse()
	for n := range liveSubscriptions {
		q := query(n)
		s.wg.Go(func() {
			for n, err := range db.Subscribe(ctx, q, &annals.SubscribeOptions{FromHead: true}) {
				if err != nil {
					s.failed(ctx, err)
					return
				}
				if n.Position > 0 {
					s.delivered.Add(1)
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // until all wait
	s.bytes = float64(inUse()-before) / liveSubscriptions
	return s, nil
}

func (s *subscribers) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.failure.Store(&err)
	}
}

// end ends them all.
func (s *subscribers) end() error {
	s.cancel()
	s.wg.Wait()
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// inUse is the memory of the heap and the stacks that is in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
