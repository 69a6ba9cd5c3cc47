package drivertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

var besideMutants = []mutant{
	{"a time is looked for strictly before", "locate/the position at a time is the last at or before it", func(l *liar) {
		l.positionAt = func(ctx context.Context, t time.Time) (driver.Position, error) {
			return l.handle.PositionAt(ctx, t.Add(-1))
		}
	}},
	{"a time is looked for by 64-bit nanoseconds", "locate/times beyond 64-bit nanoseconds are before or after everything", func(l *liar) {
		l.positionAt = func(ctx context.Context, t time.Time) (driver.Position, error) {
			return l.handle.PositionAt(ctx, time.Unix(0, t.UnixNano()))
		}
	}},
	{"the version of a stream is one behind", "version/the version is never older than a receipt", func(l *liar) {
		l.streamVersion = func(ctx context.Context, stream string) (uint64, error) {
			v, err := l.handle.StreamVersion(ctx, stream)
			return max(v, 1) - 1, err
		}
	}},
	{"the version of a stream is that of its category", "version/the version of a stream is that of its last record, 0 where there is none", func(l *liar) {
		l.streamVersion = func(ctx context.Context, stream string) (uint64, error) {
			return l.handle.StreamVersion(ctx, driver.Category(stream)+"-1")
		}
	}},
	{"payloads are not hashed", "hash/every field of a record is hashed", hashes(func(r *driver.Record) { r.Data = nil })},
	{"conditions are not hashed", "hash/every field of a record is hashed", hashes(func(r *driver.Record) { r.Conditions = nil })},
	{"metadata is not hashed", "hash/the tree head at every position is the same as in every other store", hashes(func(r *driver.Record) { r.Type += "!" })},
	{"a tree head beyond the head is that of the head", "hash/a tree head beyond the head is an error", func(l *liar) {
		l.treeHead = func(ctx context.Context, p driver.Position) ([32]byte, error) {
			info, _ := l.Info(ctx)
			return l.handle.TreeHead(ctx, min(p, info.Head))
		}
	}},
	{"a tree head is always that of the head", "hash/a tree head does not change as the log grows", func(l *liar) {
		l.treeHead = func(ctx context.Context, p driver.Position) ([32]byte, error) {
			info, _ := l.Info(ctx)
			return l.handle.TreeHead(ctx, info.Head)
		}
	}},
	{"a sound log has a fault", "verify/a sound log has no faults", func(l *liar) {
		l.verify = func(context.Context, func(done, total driver.Position)) iter.Seq[error] {
			return func(yield func(error) bool) { yield(errors.New("a fault")) }
		}
	}},
	{"revisions are ignored", "state/of racing savers exactly one wins each revision", func(l *liar) {
		l.state = func(s driver.State) driver.State { return careless{s} }
	}},
	{"revisions begin again", "state/a key that is made again never has an old revision", func(l *liar) {
		s := newForgetful()
		l.state = func(driver.State) driver.State { return s }
	}},
	{"the state's memory is shared", "state/the caller owns the value's memory again", func(l *liar) {
		s := newForgetful()
		l.state = func(driver.State) driver.State { return s }
	}},
	{"keys come as they fall", "state/keys come in order by prefix", func(l *liar) {
		s := newForgetful()
		l.state = func(driver.State) driver.State { return s }
	}},
	{"the last batch is gone when the log is opened again", "reopen/everything acknowledged is there as it was", func(l *liar) {
		l.reopened = func(s *memstore.Store) *memstore.Store { return copied(s, 1) }
	}},
	{"a log opened again is another", "reopen/an empty log stays the same log", func(l *liar) {
		l.reopened = func(s *memstore.Store) *memstore.Store { return copied(s, 0) }
	}},
	{"the state is gone when the log is opened again", "reopen/the state is there with its revisions", func(l *liar) {
		l.reopened = func(s *memstore.Store) *memstore.Store { return copied(s, 0) }
	}},
	{"another handle stands still", "second/another handle is on the same log and reads the same records", func(l *liar) {
		l.second = func(l *liar) { l.handle = newHandle(copied(l.store, 0)) }
	}},
	{"a wait on another handle is not woken", "second/a wait on another handle is woken", func(l *liar) {
		l.second = func(l *liar) {
			l.wait = func(ctx context.Context, _ driver.Position) (driver.Position, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			}
		}
	}},
	{"another handle judges by what it knew when it was opened", "second/writers on two handles exclude each other", func(l *liar) {
		l.second = func(l *liar) {
			l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
				return l.handle.Append(ctx, driver.Batch{Events: b.Events})
			}
		}
	}},
	{"another handle that is read-only takes appends", "second/another handle can be written to or says why not", func(l *liar) {
		l.second = func(l *liar) { l.info = func(i *driver.Info) { i.ReadOnly = "opened for reading" } }
	}},
	{"closing another handle closes the log", "second/closing another handle leaves the first", func(l *liar) {
		l.second = func(l *liar) { l.close = l.store.Close }
	}},
	{"two logs are one", "isolation/two logs never see each other", func() func(l *liar) {
		var one sync.Once
		var store *memstore.Store
		return func(l *liar) {
			one.Do(func() { store = l.store })
			l.handle = newHandle(store)
		}
	}()},
}

// hashes hashes records that are changed first.
func hashes(change func(r *driver.Record)) func(l *liar) {
	return func(l *liar) {
		l.treeHead = func(ctx context.Context, p driver.Position) ([32]byte, error) {
			other := memstore.New(nil)
			for r, err := range l.handle.Read(ctx, everything, driver.ReadOptions{}) {
				if err != nil {
					return [32]byte{}, err
				}
				change(&r)
				if r.Position <= p {
					_, _ = other.Append(ctx, driver.Batch{Events: []driver.Event{r.Event}, Conditions: r.Conditions, Time: r.Time})
				}
			}
			return other.TreeHead(ctx, p)
		}
	}
}

// copied returns another log that holds what s does but for its last n batches.
func copied(s *memstore.Store, n int) *memstore.Store {
	ctx := context.Background()
	to := memstore.New(nil)
	var batches []driver.Batch
	for r := range s.Read(ctx, everything, driver.ReadOptions{}) {
		if r.Batch == r.Position {
			batches = append(batches, driver.Batch{Conditions: r.Conditions, Time: r.Time})
		}
		b := &batches[len(batches)-1]
		b.Events = append(b.Events, r.Event)
	}
	for _, b := range batches[:max(len(batches)-n, 0)] {
		_, _ = to.Append(ctx, b)
	}
	return to
}

// careless saves whatever the revision.
type careless struct{ driver.State }

func (s careless) Save(ctx context.Context, key string, value []byte, _ uint64) (uint64, error) {
	return s.State.Save(ctx, key, value, driver.AnyRevision)
}

// forgetful counts revisions by key, shares memory and has its keys out of order.
type forgetful struct {
	mu        sync.Mutex
	values    map[string][]byte
	revisions map[string]uint64
}

func newForgetful() *forgetful {
	return &forgetful{values: map[string][]byte{}, revisions: map[string]uint64{}}
}

func (s *forgetful) Load(_ context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revisions[key] == 0 {
		return nil, 0, fmt.Errorf("%q: %w", key, driver.ErrNotFound)
	}
	return s.values[key], s.revisions[key], nil
}

func (s *forgetful) Save(_ context.Context, key string, value []byte, expect uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if expect != driver.AnyRevision && expect != s.revisions[key] {
		return 0, driver.ErrRevision
	}
	s.values[key] = value
	s.revisions[key]++
	return s.revisions[key], nil
}

func (s *forgetful) Delete(_ context.Context, key string, _ uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	delete(s.revisions, key)
	return nil
}

func (s *forgetful) Keys(context.Context, string) iter.Seq2[string, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Sorted(maps.Keys(s.values))
	slices.Reverse(keys)
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}
