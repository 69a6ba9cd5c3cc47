package sqlitestore

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// request is what the writer is asked to do in a transaction that it shares
// with others: append a batch, or else run do.
type request struct {
	ctx   context.Context
	batch driver.Batch
	do    func(w *writer) (refusal, failure error)

	receipt driver.Receipt
	err     error // why it alone was refused

	state atomic.Int32  // requestQueued, …
	done  chan struct{} // closed when the writer has answered
}

const (
	requestQueued int32 = iota
	requestTaken
	requestAbandoned // its caller no longer waits
)

// weight is one for each event and one for each 4 KiB of payload.
func (r *request) weight() int {
	bytes := 0
	for i := range r.batch.Events {
		bytes += len(r.batch.Events[i].Data)
	}
	return len(r.batch.Events) + bytes>>12
}

// wait waits for the writer's answer.
func (r *request) wait(ctx context.Context) (driver.Receipt, error) {
	select {
	case <-r.done:
		return r.receipt, r.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(requestQueued, requestAbandoned) {
		return driver.Receipt{}, ctx.Err()
	}
	select {
	case <-r.done:
		return r.receipt, r.err
	default:
		return driver.Receipt{}, fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, ctx.Err())
	}
}

// Append appends b whole or not at all and returns when it is synced to the disk.
func (s *Store) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	return s.Submit(ctx, b)()
}

// Submit hands b over, to be appended behind what was submitted before.
func (s *Store) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	r := &request{ctx: ctx, batch: b, done: make(chan struct{})}
	if err := s.hand(ctx, r); err != nil {
		return func() (driver.Receipt, error) { return driver.Receipt{}, err }
	}
	return func() (driver.Receipt, error) { return r.wait(ctx) }
}

// hand checks the form of r and queues it.
func (s *Store) hand(ctx context.Context, r *request) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.do == nil {
		if err := driver.Validate(&r.batch, s.opts.Limits); err != nil {
			return err
		}
	}
	if err := s.refusal(); err != nil {
		return err
	}
	return s.writer.enqueue(ctx, r)
}

// share runs do in the writer's next transaction.
func (s *Store) share(ctx context.Context, do func(w *writer) (refusal, failure error)) error {
	r := &request{ctx: ctx, do: do, done: make(chan struct{})}
	if err := s.hand(ctx, r); err != nil {
		return err
	}
	_, err := r.wait(ctx)
	return err
}
