package pgstore

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Append appends b whole or not at all, together with what others append at
// the same time.
func (s *Store) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	return s.Submit(ctx, b)()
}

// Submit hands b over and returns what waits for the answer.
func (s *Store) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	r, err := s.request(ctx, b)
	if err == nil {
		err = s.queue.push(r)
	}
	if err != nil {
		return func() (driver.Receipt, error) { return driver.Receipt{}, err }
	}
	return func() (driver.Receipt, error) { return s.answer(r) }
}

// request readies b for the queue.
func (s *Store) request(ctx context.Context, b driver.Batch) (*request, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := driver.Validate(&b, s.opts.Limits); err != nil {
		return nil, err
	}
	if err := s.errReadOnly(); err != nil {
		return nil, err
	}
	e, err := encode(&b)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	r := &request{ctx: ctx, batch: b, encoded: e, done: make(chan struct{})}
	for i := range b.Events {
		r.bytes += b.Events[i].Size() + 300
	}
	return r, nil
}

// answer waits for what became of r.
func (s *Store) answer(r *request) (driver.Receipt, error) {
	select {
	case <-r.done:
	case <-r.ctx.Done():
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return driver.Receipt{}, r.ctx.Err()
		}
		select {
		case <-r.done: // it came in the same moment
		default:
			return driver.Receipt{}, fmt.Errorf("append: %w: %w", driver.ErrOutcomeUnknown, r.ctx.Err())
		}
	}
	if r.known {
		return s.repeated(r.ctx, r.batch.Events)
	}
	return r.receipt, r.err
}
