package sqlitestore

import (
	"context"
	"database/sql"
	"iter"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// txLog is the log inside a transaction of the caller.
type txLog struct {
	s  *Store
	w  *writer
	tx *sql.Tx

	mu     sync.Mutex
	ended  bool
	failed error // why the transaction cannot be committed
}

var (
	_ driver.Log       = (*txLog)(nil)
	_ driver.Submitter = (*txLog)(nil)
	_ driver.Locator   = (*txLog)(nil)
	_ driver.Versioner = (*txLog)(nil)
	_ driver.Hasher    = (*txLog)(nil)
	_ driver.Stater    = (*txLog)(nil)
)

func (t *txLog) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// use calls f with the transaction's connection. The caller's statements run on
// it too, so tx and log are for one goroutine.
func (t *txLog) use(ctx context.Context, f func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return errTxEnded
	case t.failed != nil:
		return t.failed
	}
	if t.w.c.db.GetAutocommit() {
		return errEndedByCaller
	}
	return f(t.w.c)
}

// write is use for what changes something: a failure is the transaction's end.
func (t *txLog) write(ctx context.Context, f func() (refusal, failure error)) error {
	var refusal error
	err := t.use(ctx, func(*conn) (failure error) {
		refusal, failure = f()
		if failure == nil && refusal == nil {
			failure = t.w.flush()
		}
		if failure != nil {
			t.failed = failure
		}
		return failure
	})
	if err != nil {
		return t.s.found("append to", err)
	}
	return refusal
}

// Append judges b at once and adds it to the transaction.
func (t *txLog) Append(ctx context.Context, b driver.Batch) (receipt driver.Receipt, err error) {
	if err := driver.Validate(&b, t.s.opts.Limits); err != nil {
		return driver.Receipt{}, err
	}
	err = t.write(ctx, func() (refusal, failure error) {
		receipt, refusal, failure = t.w.append(ctx, t.tx, b)
		return refusal, failure
	})
	if err != nil {
		return driver.Receipt{}, err
	}
	return receipt, nil
}

// Submit appends b at once; the answer is there when it returns.
func (t *txLog) Submit(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
	receipt, err := t.Append(ctx, b)
	return func() (driver.Receipt, error) { return receipt, err }
}

// Read yields records of the log with what the transaction has appended.
func (t *txLog) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return read(ctx, q, o, t.use, t.s.found)
}

// Wait returns the head if it is greater than after. As nobody else can append
// meanwhile, it otherwise waits for the end of ctx.
func (t *txLog) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	info, err := t.Info(ctx)
	if err != nil {
		return 0, err
	}
	if info.Head > after {
		return info.Head, nil
	}
	select {
	case <-t.s.done:
		return 0, driver.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (t *txLog) Info(ctx context.Context) (driver.Info, error) {
	info := driver.Info{LogID: t.s.id, Store: "sqlite", Durability: durability, Limits: t.s.opts.Limits}
	err := t.use(ctx, func(*conn) error {
		info.Head = t.w.head
		if info.Head > 0 {
			info.Time = instant(t.w.at)
		}
		return nil
	})
	return info, err
}

// Close does nothing: the transaction ends with the function.
func (t *txLog) Close() error { return nil }

func (t *txLog) StreamVersion(ctx context.Context, stream string) (v uint64, err error) {
	err = t.use(ctx, func(*conn) error {
		p, _, err := t.w.find(streamKind, stream)
		v = p.count
		return err
	})
	return v, t.s.found("look at", err)
}

func (t *txLog) PositionAt(ctx context.Context, at time.Time) (p driver.Position, err error) {
	err = t.use(ctx, func(c *conn) error {
		p, err = c.positionAt(at)
		return err
	})
	return p, t.s.found("look at", err)
}

func (t *txLog) TreeHead(ctx context.Context, p driver.Position) (root [32]byte, err error) {
	err = t.use(ctx, func(c *conn) error {
		_, root, err = c.treeHead(p, nil)
		return err
	})
	return root, t.s.found("look at", err)
}
