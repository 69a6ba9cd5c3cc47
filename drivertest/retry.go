package drivertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
)

// flakyHarness opens a harness's logs through Flaky and a caller that retries
// as the contract says, so that the suite must pass on it as on the log itself.
type flakyHarness struct{ Harness }

func (h flakyHarness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return retrying(h.Harness.Open(t, clock))
}

func (h flakyHarness) Reopen(t testing.TB, log driver.Log) driver.Log {
	r := log.(*retry)
	again := retrying(h.Harness.Reopen(t, r.settled()))
	again.acknowledged = r.acknowledged
	return again
}

func (h flakyHarness) Second(t testing.TB, log driver.Log) driver.Log {
	return retrying(h.Harness.Second(t, log.(*retry).flaky.log))
}

func retrying(log driver.Log) *retry {
	return &retry{flaky: Flaky(log, nil).(*flaky), acknowledged: map[driver.ID]bool{}}
}

// retry calls again where a call failed by the connection.
type retry struct {
	*flaky
	mu           sync.Mutex
	acknowledged map[driver.ID]bool // first IDs of batches that a caller was given a receipt for
}

// Unwrap returns the flaky log behind.
func (r *retry) Unwrap() driver.Log { return r.flaky }

// settled waits for the appends that are on their way and returns the log behind.
func (r *retry) settled() driver.Log {
	for {
		r.flaky.mu.Lock()
		n := len(r.late)
		r.flaky.mu.Unlock()
		if n == 0 {
			return r.log
		}
		time.Sleep(time.Millisecond)
	}
}

// again reports whether a call that ended with err is to be made again.
func again(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown))
}

// Append appends b until its outcome is known. Repeated is set only where a
// caller has had a receipt for b, not where this call's own attempt was repeated.
func (r *retry) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	receipt, err := r.flaky.Append(ctx, b)
	var open error // the last error that left the outcome unknown
	for again(ctx, err) {
		if errors.Is(err, driver.ErrOutcomeUnknown) {
			open = err
		}
		receipt, err = r.flaky.Append(ctx, b)
	}
	if open != nil && (errors.Is(err, driver.ErrClosed) || ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return driver.Receipt{}, fmt.Errorf("%w, and then %w", open, err)
	}
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		receipt.Repeated = receipt.Repeated && r.acknowledged[b.Events[0].ID]
		r.acknowledged[b.Events[0].ID] = true
	}
	return receipt, err
}

// Read goes on behind the last record where a read was cut.
func (r *retry) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		o := o
		if o.UpTo == 0 { // the head when ranging begins, also where the read is begun again
			info, err := r.Info(ctx)
			if err != nil {
				yield(driver.Record{}, err)
				return
			}
			if o.UpTo = info.Head; info.Head == 0 && o.After == 0 {
				return
			}
		}
		for {
			var cut error
			for rec, err := range r.flaky.Read(ctx, q, o) {
				if cut = err; again(ctx, err) {
					break
				}
				if !yield(rec, err) || err != nil {
					return
				}
				if o.Limit--; o.Limit == 0 {
					return
				}
				o.Limit = max(o.Limit, 0)
				switch {
				case !o.Backward:
					o.After = rec.Position
				case rec.Position == 1:
					return
				default:
					o.UpTo = rec.Position - 1
				}
			}
			if cut == nil {
				return
			}
		}
	}
}

func (r *retry) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	head, err := r.flaky.Wait(ctx, after)
	for again(ctx, err) {
		head, err = r.flaky.Wait(ctx, after)
	}
	return head, err
}

func (r *retry) Info(ctx context.Context) (driver.Info, error) {
	info, err := r.flaky.Info(ctx)
	for again(ctx, err) {
		info, err = r.flaky.Info(ctx)
	}
	return info, err
}

func (r *retry) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	p, err := r.flaky.PositionAt(ctx, t)
	for again(ctx, err) {
		p, err = r.flaky.PositionAt(ctx, t)
	}
	return p, err
}

func (r *retry) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	v, err := r.flaky.StreamVersion(ctx, stream)
	for again(ctx, err) {
		v, err = r.flaky.StreamVersion(ctx, stream)
	}
	return v, err
}

func (r *retry) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	h, err := r.flaky.TreeHead(ctx, p)
	for again(ctx, err) {
		h, err = r.flaky.TreeHead(ctx, p)
	}
	return h, err
}

func (r *retry) State() driver.State {
	s := r.flaky.State()
	if s == nil {
		return nil
	}
	return &retryState{s}
}

type retryState struct{ driver.State }

func (s *retryState) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	v, rev, err := s.State.Load(ctx, key)
	for again(ctx, err) {
		v, rev, err = s.State.Load(ctx, key)
	}
	return v, rev, err
}

func (s *retryState) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	rev, err := s.State.Save(ctx, key, value, expect)
	for again(ctx, err) {
		rev, err = s.State.Save(ctx, key, value, expect)
	}
	return rev, err
}

func (s *retryState) Delete(ctx context.Context, key string, expect uint64) error {
	err := s.State.Delete(ctx, key, expect)
	for again(ctx, err) {
		err = s.State.Delete(ctx, key, expect)
	}
	return err
}

func (s *retryState) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			var failed error
			for k, err := range s.State.Keys(ctx, prefix) {
				if failed = err; again(ctx, err) {
					break
				}
				if !yield(k, err) {
					return
				}
			}
			if !again(ctx, failed) {
				return
			}
		}
	}
}
