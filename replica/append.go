package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
)

// Append appends b whole or not at all, by way of the node that sequences, and
// returns when the cluster has it for good and this node's copy can be read up
// to it. While no node sequences it waits, up to [Options].Timeout.
func (s *Store) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if err := s.writable(ctx, &b); err != nil {
		return driver.Receipt{}, err
	}
	p := newPending(s, ctx, b)
	a, done := s.appendHere(ctx, b)
	if done {
		return s.finish(ctx, a)
	}
	if mayBeTaken(a.err) {
		p.tries = 1
	}
	return s.await(ctx, s.lane.add(p))
}

// appendHere appends b by way of this node's own copy, if the node leads. done
// is false if that decided nothing; then an error says that it was tried.
func (s *Store) appendHere(ctx context.Context, b driver.Batch) (a answer, done bool) {
	s.direct.RLock()
	defer s.direct.RUnlock()
	if s.closed.Load() {
		return answer{err: driver.ErrClosed}, true
	}
	if !s.order.Leading.Load() {
		return answer{}, false
	}
	a.receipt, a.err = s.log.Append(ctx, b)
	a = s.confirmed(ctx, a)
	return a, !errors.Is(a.err, quorum.ErrNotLeading)
}

// Submit hands b over, to be appended behind what was submitted before.
func (s *Store) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	if err := s.writable(ctx, &b); err != nil {
		return func() (driver.Receipt, error) { return driver.Receipt{}, err }
	}
	p := s.lane.add(newPending(s, ctx, b))
	return func() (driver.Receipt, error) { return s.await(ctx, p) }
}

// writable returns why b cannot be appended, as far as this node alone can tell.
func (s *Store) writable(ctx context.Context, b *driver.Batch) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := driver.Validate(b, s.opts.Limits); err != nil {
		return err
	}
	if err := s.stopped(); err != nil {
		return fmt.Errorf("append: %w: %w", driver.ErrReadOnly, err)
	}
	return nil
}

// await waits for the answer to p.
func (s *Store) await(ctx context.Context, p *pending) (driver.Receipt, error) {
	select {
	case a := <-p.done:
		return s.finish(ctx, a)
	case <-ctx.Done():
	}
	if p.abandon() && p.tries == 0 {
		return driver.Receipt{}, ctx.Err()
	}
	select {
	case a := <-p.done:
		return s.finish(ctx, a)
	default:
		return driver.Receipt{}, fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, ctx.Err())
	}
}

// mayBeTaken reports whether an attempt that ended with err, an ErrNotLeading,
// may have put its batch in the log. Where it was never handed to the cluster
// the error is ErrNotLeading itself, with nothing wrapped around it.
func mayBeTaken(err error) bool { return err != nil && err != quorum.ErrNotLeading } //nolint:errorlint // see above

// confirmed returns a, or ErrNotLeading where it is a refusal that this node,
// which judged it, may have judged by an old state.
func (s *Store) confirmed(ctx context.Context, a answer) answer {
	if a.err == nil || errors.Is(a.err, driver.ErrOutcomeUnknown) || errors.Is(a.err, quorum.ErrNotLeading) || errors.Is(a.err, driver.ErrClosed) {
		return a
	}
	if ctx.Err() != nil && errors.Is(a.err, ctx.Err()) {
		return a
	}
	if s.lease.confirm(ctx) {
		return a
	}
	return answer{err: quorum.ErrNotLeading}
}

// finish gives a to its caller once this node's copy can be read as far as it
// tells of.
func (s *Store) finish(ctx context.Context, a answer) (driver.Receipt, error) {
	p := a.receipt.Last
	var conflict *driver.ConflictError
	var position *driver.PositionError
	var id *driver.IDError
	switch {
	case errors.As(a.err, &conflict):
		p = conflict.Head
	case errors.As(a.err, &position):
		p = position.Head
	case errors.As(a.err, &id):
		p = id.Position
	}
	if err := s.readable(ctx, p); err != nil {
		return driver.Receipt{}, fmt.Errorf("%w: this node's copy does not reach position %d: %w", driver.ErrOutcomeUnknown, p, err)
	}
	if a.err != nil {
		return driver.Receipt{}, a.err
	}
	a.receipt.Durability = s.durability()
	return a.receipt, nil
}

// readable waits until this node's copy can be read up to p.
func (s *Store) readable(ctx context.Context, p driver.Position) error {
	if p == 0 {
		return nil
	}
	if info, err := s.log.Info(context.WithoutCancel(ctx)); err == nil && info.Head >= p {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	_, err := s.log.Wait(ctx, p-1)
	return err
}

// submitIn hands b to this node's copy, to be judged in an epoch that this node
// leads. ok is false if it does not, or no longer.
func (s *Store) submitIn(epoch uint64, b driver.Batch) (await func() (driver.Receipt, error), ok bool) {
	s.serving.RLock()
	defer s.serving.RUnlock()
	if epoch == 0 || s.leadEpoch != epoch {
		return nil, false
	}
	return s.log.Submit(context.WithoutCancel(s.ctx), b), true
}

// expired returns the error of an append that waited too long for a sequencer.
func (s *Store) expired(p *pending) error {
	err := fmt.Errorf("append: %w: no node could sequence it within %s", driver.ErrUnavailable, s.opts.Timeout)
	if p.tries > 0 {
		err = fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, err)
	}
	return err
}

// timeout is when an append begun now is given up.
func (s *Store) timeout() time.Time { return time.Now().Add(s.opts.Timeout) }
