package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/google/uuid"
)

// Options are the options of [New].
type Options struct {
	// TTL is how long a lease outlives its last renewal. Defaults to 10 s.
	TTL time.Duration
	// Elapsed is a clock that never jumps; only differences of what it tells
	// count. Defaults to the time since the process began, which is monotonic.
	Elapsed func() time.Duration
	// Now is the wall clock, shown to people. Defaults to time.Now.
	Now func() time.Time
	// Alone says that no other process can change the state, so that a holder
	// in another one is dead. Defaults to false.
	Alone bool
	// Process names this process among all. Defaults to a random name.
	Process string
}

// Keeper takes leases for one holder and watches those of others. It may be
// used by any number of goroutines.
type Keeper struct {
	state    driver.State
	holder   string
	instance string
	opts     Options

	mu   sync.Mutex
	seen map[string]sight // of the leases of others
}

// sight is when a revision of a key was first seen.
type sight struct {
	revision uint64
	at       time.Duration
}

var began = time.Now()

// Process names this process among all, by chance.
var Process = uuid.NewString()

// New returns a keeper of leases in state. holder is a name for people; two
// keepers with one name are still two holders.
func New(state driver.State, holder string, opts *Options) *Keeper {
	k := &Keeper{state: state, holder: holder, instance: uuid.NewString(), seen: map[string]sight{}}
	if opts != nil {
		k.opts = *opts
	}
	o := &k.opts
	if o.TTL <= 0 {
		o.TTL = 10 * time.Second
	}
	o.TTL = max(o.TTL.Round(time.Millisecond), time.Millisecond)
	if o.Elapsed == nil {
		o.Elapsed = func() time.Duration { return time.Since(began) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Process == "" {
		o.Process = Process
	}
	return k
}

// TTL is how long the keeper's leases outlive their last renewal.
func (k *Keeper) TTL() time.Duration { return k.opts.TTL }

// Alone reports whether no other process can change the state.
func (k *Keeper) Alone() bool { return k.opts.Alone }

// HeldError says who holds a lease that was asked for.
type HeldError struct {
	Key    string
	Holder string
	Token  uint64
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("lease %q is held by %s (token %d)", e.Key, e.Holder, e.Token)
}

// ErrLost is wrapped where a lease was taken by another, or given back.
var ErrLost = errors.New("the lease is lost")

// ErrRanOut is wrapped where the state has not answered within the time to live,
// so that another may have taken the lease. It wraps [driver.ErrUnavailable].
var ErrRanOut = fmt.Errorf("the lease has run out: %w", driver.ErrUnavailable)

// Acquire takes the lease under key: one that nobody holds, or whose holder has
// not renewed it for its time to live while this keeper watched. Else it is a
// *[HeldError], and one call of Acquire after another is the watching.
func (k *Keeper) Acquire(ctx context.Context, key string) (*Lease, error) {
	for range 3 {
		start := k.opts.Elapsed()
		e, revision, err := Read(ctx, k.state, key)
		if err != nil && !errors.Is(err, driver.ErrNotFound) {
			return nil, fmt.Errorf("acquire lease %q: %w", key, err)
		}
		if !k.free(key, e, revision) {
			return nil, &HeldError{Key: key, Holder: e.Holder, Token: e.Token}
		}
		l := &Lease{k: k, key: key, token: e.Token + 1, revision: revision, entry: Entry{
			Holder: k.holder, Instance: k.instance, Process: k.opts.Process,
			Token: e.Token + 1, Beat: e.Beat, TTL: k.opts.TTL.Milliseconds(), Value: e.Value,
		}}
		err = l.write(ctx, start)
		if errors.Is(err, driver.ErrRevision) {
			continue // another was faster
		}
		if err != nil {
			return nil, fmt.Errorf("acquire lease %q: %w", key, err)
		}
		k.mu.Lock()
		delete(k.seen, key)
		k.mu.Unlock()
		return l, nil
	}
	return nil, &HeldError{Key: key, Holder: "others who take it in turn"}
}

// Watch looks at the lease under key without taking it, and reports whether
// Acquire could. It counts as watching.
func (k *Keeper) Watch(ctx context.Context, key string) (free bool, err error) {
	e, revision, err := Read(ctx, k.state, key)
	if err != nil && !errors.Is(err, driver.ErrNotFound) {
		return false, fmt.Errorf("watch lease %q: %w", key, err)
	}
	return k.free(key, e, revision), nil
}

// free reports whether the lease may be taken.
func (k *Keeper) free(key string, e Entry, revision uint64) bool {
	if e.Holder == "" || e.Instance == k.instance {
		return true // the second: this keeper's own, which it has let go of
	}
	if k.opts.Alone && e.Process != k.opts.Process {
		return true
	}
	now := k.opts.Elapsed()
	k.mu.Lock()
	defer k.mu.Unlock()
	s, known := k.seen[key]
	if !known || s.revision != revision {
		k.seen[key] = sight{revision, now}
		return false
	}
	return now-s.at >= e.ttl()
}
