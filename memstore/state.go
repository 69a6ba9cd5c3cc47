package memstore

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// State returns the small state beside the log.
func (s *Store) State() driver.State { return s.state }

// state is a map of values with revisions. Revisions count over all keys, so a
// key that was deleted and made again never has an old one.
type state struct {
	closed  <-chan struct{}
	mu      sync.Mutex
	last    uint64
	entries map[string]entry
}

type entry struct {
	value    []byte
	revision uint64
}

func (s *state) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := s.usable(ctx); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return nil, 0, fmt.Errorf("load state %q: %w", key, driver.ErrNotFound)
	}
	return slices.Clone(e.value), e.revision, nil
}

func (s *state) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect("save", key, expect); err != nil {
		return 0, err
	}
	s.last++
	s.entries[key] = entry{slices.Clone(value), s.last}
	return s.last, nil
}

func (s *state) Delete(ctx context.Context, key string, expect uint64) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.expect("delete", key, expect); err != nil {
		return err
	}
	delete(s.entries, key)
	return nil
}

func (s *state) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.usable(ctx); err != nil {
			yield("", err)
			return
		}
		s.mu.Lock()
		keys := slices.Sorted(maps.Keys(s.entries))
		s.mu.Unlock()
		for _, k := range keys {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if strings.HasPrefix(k, prefix) && !yield(k, nil) {
				return
			}
		}
	}
}

func (s *state) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return driver.ErrClosed
	default:
		return ctx.Err()
	}
}

// expect returns an error unless key is at the revision expected, 0 for absent.
func (s *state) expect(verb, key string, revision uint64) error {
	at := s.entries[key].revision
	if revision == driver.AnyRevision || revision == at {
		return nil
	}
	return fmt.Errorf("%s state %q: it is at revision %d, not %d: %w", verb, key, at, revision, driver.ErrRevision)
}
