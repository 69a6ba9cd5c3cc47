package drivertest

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// The suite passes on a memstore that can be opened twice and again, so that
// no test of it is skipped.
func TestSuitePassesOnHandles(t *testing.T) { Run(t, handles{}) }

// handles opens handles on memory stores that outlive them, as a disk would.
type handles struct{}

func (handles) Open(t testing.TB, clock func() time.Time) driver.Log {
	return newHandle(memstore.New(&memstore.Options{Clock: clock}))
}

func (handles) Reopen(t testing.TB, log driver.Log) driver.Log {
	h := log.(*handle)
	_ = h.Close()
	return newHandle(h.store)
}

func (handles) Second(t testing.TB, log driver.Log) driver.Log { return newHandle(log.(*handle).store) }

// handle is a log that can be closed without its store.
type handle struct {
	store *memstore.Store
	done  chan struct{}

	mu     sync.RWMutex // held for reading during an append
	closed bool
}

func newHandle(s *memstore.Store) *handle { return &handle{store: s, done: make(chan struct{})} }

func (h *handle) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return driver.Receipt{}, driver.ErrClosed
	}
	return h.store.Append(ctx, b)
}

func (h *handle) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	receipt, err := h.Append(ctx, b)
	return func() (driver.Receipt, error) { return receipt, err }
}

func (h *handle) isClosed() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.closed
}

func (h *handle) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		if h.isClosed() {
			yield(driver.Record{}, driver.ErrClosed)
			return
		}
		h.store.Read(ctx, q, o)(yield)
	}
}

func (h *handle) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if h.isClosed() {
		return 0, driver.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-h.done:
			cancel(driver.ErrClosed)
		case <-ctx.Done():
		}
	}()
	head, err := h.store.Wait(ctx, after)
	if context.Cause(ctx) == driver.ErrClosed {
		err = driver.ErrClosed
	}
	return head, err
}

func (h *handle) Info(ctx context.Context) (driver.Info, error) {
	if h.isClosed() {
		return driver.Info{}, driver.ErrClosed
	}
	return h.store.Info(ctx)
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	return nil
}

func (h *handle) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	return h.store.PositionAt(ctx, t)
}

func (h *handle) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	return h.store.StreamVersion(ctx, stream)
}

func (h *handle) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	return h.store.TreeHead(ctx, p)
}

func (h *handle) State() driver.State { return h.store.State() }

// Verify finds no fault, since memory has none that it could know of.
func (h *handle) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	return func(yield func(error) bool) {
		info, err := h.Info(ctx)
		if err != nil {
			yield(err)
		} else if progress != nil {
			progress(info.Head, info.Head)
		}
	}
}
