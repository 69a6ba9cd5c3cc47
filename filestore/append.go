package filestore

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Append appends b whole or not at all and returns when it is synced to the disk.
func (s *Store) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	r, err := s.prepare(ctx, b)
	if err != nil {
		return driver.Receipt{}, err
	}
	for {
		if settled, err := s.check(ctx, r, r.ordered); err != nil || settled {
			return r.result(err)
		}
		if err := s.writer.enqueue(ctx, r); err != nil {
			return r.result(err)
		}
		if err := r.wait(ctx); err != nil {
			return driver.Receipt{}, err // the writer may still have r
		}
		if !r.retry {
			return r.result(r.err)
		}
		r.retry = false
		r.again++
		r.ordered = r.again >= 3
		r.state.Store(requestQueued)
	}
}

// Submit hands b over, to be appended behind what was submitted before.
func (s *Store) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	r, err := s.prepare(ctx, b)
	if err != nil {
		return func() (driver.Receipt, error) { return driver.Receipt{}, err }
	}
	r.ordered = true
	if settled, err := s.check(ctx, r, true); err != nil || settled {
		receipt, err := r.result(err)
		return func() (driver.Receipt, error) { return receipt, err }
	}
	if err := s.writer.enqueue(ctx, r); err != nil {
		_, err := r.result(err)
		return func() (driver.Receipt, error) { return driver.Receipt{}, err }
	}
	return func() (driver.Receipt, error) {
		if err := r.wait(ctx); err != nil {
			return driver.Receipt{}, err
		}
		return r.result(r.err)
	}
}

// prepare checks the form of b and encodes it.
func (s *Store) prepare(ctx context.Context, b driver.Batch) (*request, error) {
	if s.closed.Load() {
		return nil, driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := driver.Validate(&b, s.opts.Limits); err != nil {
		return nil, err
	}
	if err := s.refusal(); err != nil {
		return nil, err
	}
	return newRequest(s, b), nil
}

// refusal returns the error of an append while the store cannot be written.
func (s *Store) refusal() error {
	if err := s.writable(); err != nil {
		return fmt.Errorf("append to %s: %w: %w", s.dir, driver.ErrReadOnly, err)
	}
	return nil
}

// result returns what r came to and gives r back. err, if any, goes before it.
func (r *request) result(err error) (driver.Receipt, error) {
	receipt := r.receipt
	r.release()
	if err != nil {
		return driver.Receipt{}, err
	}
	return receipt, nil
}

// wait waits for the writer's answer. An error means that r is the writer's for ever.
func (r *request) wait(ctx context.Context) error {
	ended := ctx.Done()
	if ended == nil {
		<-r.done
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ended:
	}
	if r.state.CompareAndSwap(requestQueued, requestAbandoned) {
		return ctx.Err()
	}
	select {
	case <-r.done:
		return nil
	default:
		return fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, ctx.Err())
	}
}
