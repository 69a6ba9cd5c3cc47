package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// Lease is a lease that was acquired. It may be used by any number of goroutines.
type Lease struct {
	k     *Keeper
	key   string
	token uint64

	mu       sync.Mutex
	entry    Entry
	revision uint64
	until    time.Duration // by the keeper's clock: when others may take it, at the earliest
	lost     bool
}

// Token is greater than that of every earlier holder of the key.
func (l *Lease) Token() uint64 { return l.token }

// Value is what was kept beside the lease last, by this holder or an earlier
// one; nil if nothing.
func (l *Lease) Value() json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entry.Value
}

// Valid reports whether nobody else can hold the lease now. It asks a clock,
// not the state, so it is cheap; and it may become false at any time, so what
// must not happen twice is guarded by Save or by the token as well.
func (l *Lease) Valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.lost && l.k.opts.Elapsed() < l.until
}

// Renew keeps the lease for another time to live. Once another has taken it,
// the error wraps [ErrLost]; any other error leaves it as it was, to be tried
// again. Where the state does not answer until the lease has run out, that is [ErrRanOut].
func (l *Lease) Renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keep(ctx, "renew", l.entry)
}

// Save is [Lease.Renew] that keeps value, which is JSON, in the same write.
func (l *Lease) Save(ctx context.Context, value json.RawMessage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry
	e.Value = value
	return l.keep(ctx, "save", e)
}

// keep is change for as long as the lease is good, and a little where it has
// run out. The caller holds mu.
func (l *Lease) keep(ctx context.Context, verb string, e Entry) error {
	bounded, cancel := context.WithTimeout(ctx, max(l.until-l.k.opts.Elapsed(), e.ttl()/10))
	defer cancel()
	err := l.change(bounded, verb, e)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil && !l.lost {
		err = fmt.Errorf("%w: %w", ErrRanOut, err)
	}
	return err
}

// Release gives the lease back, so that the next holder need not wait. What is
// kept beside it stays. A lease that is lost already is no error.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry
	e.Holder, e.Instance, e.Process = "", "", ""
	l.until = 0 // it may be released even if the answer is an error
	err := l.change(ctx, "release", e)
	if errors.Is(err, ErrLost) {
		err = nil
	}
	if err == nil {
		l.lost = true
	}
	return err
}

// change writes e. The caller holds mu.
func (l *Lease) change(ctx context.Context, verb string, e Entry) error {
	if l.lost {
		return fmt.Errorf("%s lease %q: %w", verb, l.key, ErrLost)
	}
	before := l.entry
	for range 3 {
		start := l.k.opts.Elapsed()
		l.entry = e
		err := l.write(ctx, start)
		if err == nil {
			return nil
		}
		l.entry = before
		if !errors.Is(err, driver.ErrRevision) {
			return fmt.Errorf("%s lease %q: %w", verb, l.key, err)
		}
		if err := l.find(ctx); err != nil {
			return fmt.Errorf("%s lease %q: %w", verb, l.key, err)
		}
	}
	return fmt.Errorf("%s lease %q: %w", verb, l.key, driver.ErrRevision)
}

// find looks what has become of the lease whose revision is another than the
// one known: an earlier write of this holder may have been made although its
// answer was an error.
func (l *Lease) find(ctx context.Context) error {
	e, revision, err := Read(ctx, l.k.state, l.key)
	switch {
	case errors.Is(err, driver.ErrNotFound), err == nil && (e.Instance != l.entry.Instance || e.Token != l.token):
		l.lost = true
		return ErrLost
	case err != nil:
		return err
	}
	l.revision = revision
	return nil
}

// write puts the entry into the state. The time to live counts from start, when
// others cannot have seen it yet.
func (l *Lease) write(ctx context.Context, start time.Duration) error {
	l.entry.Beat++
	l.entry.Renewed = l.k.opts.Now().UTC()
	b, err := json.Marshal(l.entry)
	if err != nil {
		return err
	}
	revision, err := l.k.state.Save(ctx, l.key, b, l.revision)
	if err != nil {
		return err
	}
	l.revision, l.until = revision, start+l.entry.ttl()
	return nil
}
