package drivertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// FlakyOptions are what [Flaky] may be told.
type FlakyOptions struct {
	// Seed chooses the faults. Defaults to 1.
	Seed uint64
	// Rate is the part of the calls that go wrong, from 0 to 1. Defaults to 0.25.
	Rate float64
	// MaxDelay bounds how long a call is held up. Defaults to 500 microseconds.
	MaxDelay time.Duration
}

// Flaky returns log as seen over a bad connection. By seed, a call is delayed,
// fails with [driver.ErrUnavailable] before it has done anything, or is an
// append whose outcome stays unknown ([driver.ErrOutcomeUnknown]): it was never
// handed over, or its answer is lost, or it takes effect only some time later.
// A read may end in the middle with [driver.ErrUnavailable]. All this is within
// the contract, so whatever is built upon a log must bear it.
//
// The capabilities Locator, Hasher and Stater are passed on with delays and
// failures; where log lacks one, State is nil and the others answer
// [errors.ErrUnsupported]. Submit and Verify are not passed on.
func Flaky(log driver.Log, opts *FlakyOptions) driver.Log {
	o := FlakyOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Rate == 0 {
		o.Rate = 0.25
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = 500 * time.Microsecond
	}
	return &flaky{log: log, options: o, rand: rand.New(rand.NewPCG(o.Seed, 7)), late: map[driver.ID]chan struct{}{}}
}

type flaky struct {
	log     driver.Log
	options FlakyOptions

	mu   sync.Mutex
	rand *rand.Rand
	late map[driver.ID]chan struct{} // appends still to take effect, by their first ID; closed when done
}

// isFlaky reports whether log is, or wraps, what Flaky returned.
func isFlaky(log driver.Log) bool {
	for {
		if _, ok := log.(*flaky); ok {
			return true
		}
		u, ok := log.(interface{ Unwrap() driver.Log })
		if !ok {
			return false
		}
		log = u.Unwrap()
	}
}

// Unwrap returns the log behind.
func (f *flaky) Unwrap() driver.Log { return f.log }

// draw returns a number below n and whether the call is to go wrong.
func (f *flaky) draw(n int) (int, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n), f.rand.Float64() < f.options.Rate
}

// delay holds a call up, sometimes, and says whether it is to fail.
func (f *flaky) delay(ctx context.Context, what string) error {
	if n, ok := f.draw(int(f.options.MaxDelay)); ok {
		f.sleep(ctx, time.Duration(n))
	}
	if n, ok := f.draw(2); ok && n == 0 && ctx.Err() == nil {
		return fmt.Errorf("%s: %w (by way of trial)", what, driver.ErrUnavailable)
	}
	return nil
}

func (f *flaky) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (f *flaky) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	if err := f.delay(ctx, "append"); err != nil {
		return driver.Receipt{}, err
	}
	f.waitForLate(b)
	n, wrong := f.draw(4)
	if !wrong || ctx.Err() != nil {
		return f.log.Append(ctx, b)
	}
	unknown := func(what string) error {
		return fmt.Errorf("append: %s: %w (by way of trial)", what, driver.ErrOutcomeUnknown)
	}
	switch n {
	case 0:
		return driver.Receipt{}, unknown("the batch was lost")
	case 1:
		f.appendLate(b)
		return driver.Receipt{}, unknown("the batch is still on its way")
	default:
		if _, err := f.log.Append(ctx, b); errors.Is(err, driver.ErrClosed) {
			return driver.Receipt{}, err
		}
		return driver.Receipt{}, unknown("the answer was lost")
	}
}

// appendLate lets b take effect some time after the call.
func (f *flaky) appendLate(b driver.Batch) {
	if len(b.Events) == 0 {
		return
	}
	done := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.late[b.Events[0].ID] != nil {
		return
	}
	f.late[b.Events[0].ID] = done
	go func() {
		f.sleep(context.Background(), f.options.MaxDelay)
		_, _ = f.log.Append(context.Background(), b) // its answer is lost
		f.mu.Lock()
		delete(f.late, b.Events[0].ID)
		f.mu.Unlock()
		close(done)
	}()
}

// waitForLate waits until an earlier append of b has taken effect, so that
// appending b again decides its outcome.
func (f *flaky) waitForLate(b driver.Batch) {
	for len(b.Events) > 0 {
		f.mu.Lock()
		done := f.late[b.Events[0].ID]
		f.mu.Unlock()
		if done == nil {
			return
		}
		<-done
	}
}

func (f *flaky) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		if err := f.delay(ctx, "read"); err != nil {
			yield(driver.Record{}, err)
			return
		}
		left, cut := f.draw(30)
		for r, err := range f.log.Read(ctx, q, o) {
			if cut && left == 0 && err == nil {
				yield(driver.Record{}, fmt.Errorf("read: %w before position %d (by way of trial)", driver.ErrUnavailable, r.Position))
				return
			}
			left--
			if !yield(r, err) {
				return
			}
		}
	}
}

func (f *flaky) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if err := f.delay(ctx, "wait"); err != nil {
		return 0, err
	}
	return f.log.Wait(ctx, after)
}

func (f *flaky) Info(ctx context.Context) (driver.Info, error) {
	if err := f.delay(ctx, "info"); err != nil {
		return driver.Info{}, err
	}
	return f.log.Info(ctx)
}

// Close waits for the appends that are still on their way and closes the log.
func (f *flaky) Close() error {
	f.mu.Lock()
	var late []chan struct{}
	for _, done := range f.late {
		late = append(late, done)
	}
	f.mu.Unlock()
	for _, done := range late {
		<-done
	}
	return f.log.Close()
}

func (f *flaky) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	l, ok := f.log.(driver.Locator)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	if err := f.delay(ctx, "position at a time"); err != nil {
		return 0, err
	}
	return l.PositionAt(ctx, t)
}

func (f *flaky) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	v, ok := f.log.(driver.Versioner)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	if err := f.delay(ctx, "stream version"); err != nil {
		return 0, err
	}
	return v.StreamVersion(ctx, stream)
}

func (f *flaky) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	h, ok := f.log.(driver.Hasher)
	if !ok {
		return [32]byte{}, errors.ErrUnsupported
	}
	if err := f.delay(ctx, "tree head"); err != nil {
		return [32]byte{}, err
	}
	return h.TreeHead(ctx, p)
}

func (f *flaky) State() driver.State {
	s, ok := f.log.(driver.Stater)
	if !ok {
		return nil
	}
	inner := s.State()
	if inner == nil {
		return nil
	}
	return &flakyState{f, inner}
}

// flakyState fails before it does anything, never after.
type flakyState struct {
	*flaky
	state driver.State
}

func (s *flakyState) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := s.delay(ctx, "load state"); err != nil {
		return nil, 0, err
	}
	return s.state.Load(ctx, key)
}

func (s *flakyState) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := s.delay(ctx, "save state"); err != nil {
		return 0, err
	}
	return s.state.Save(ctx, key, value, expect)
}

func (s *flakyState) Delete(ctx context.Context, key string, expect uint64) error {
	if err := s.delay(ctx, "delete state"); err != nil {
		return err
	}
	return s.state.Delete(ctx, key, expect)
}

func (s *flakyState) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.delay(ctx, "keys"); err != nil {
			yield("", err)
			return
		}
		for k, err := range s.state.Keys(ctx, prefix) {
			if !yield(k, err) {
				return
			}
		}
	}
}
