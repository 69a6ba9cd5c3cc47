package memstore

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"time"

	"github.com/annals-db/annals/driver"
)

// Read yields the records that match q, as o says, of the log as it is when
// ranging begins.
func (s *Store) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		records, candidates, err := s.snapshot(q, o)
		if err != nil {
			yield(driver.Record{}, err)
			return
		}
		n := 0
		for p := range candidates {
			if err := ctx.Err(); err != nil {
				yield(driver.Record{}, err)
				return
			}
			r := &records[p-1]
			if !q.Matches(&r.Event) {
				continue
			}
			if !yield(*r, nil) {
				return
			}
			if n++; n == o.Limit {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(driver.Record{}, err)
		}
	}
}

// snapshot returns the log as it is now and where q may match in it.
func (s *Store) snapshot(q driver.Query, o driver.ReadOptions) ([]driver.Record, iter.Seq[driver.Position], error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, nil, driver.ErrClosed
	}
	for _, p := range [...]driver.Position{o.After, o.UpTo} {
		if p > s.head() {
			return nil, nil, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: s.head()}
		}
	}
	upTo := o.UpTo
	if upTo == 0 {
		upTo = s.head()
	}
	return s.records, s.index.candidates(q, o.After, upTo, o.Backward), nil
}

// StreamVersion returns the version of stream's last record, 0 if it has none.
func (s *Store) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, driver.ErrClosed
	}
	return uint64(len(s.index.streams[stream])), ctx.Err()
}

// PositionAt returns the last position whose time is at or before t, 0 if there is none.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, driver.ErrClosed
	}
	n := sort.Search(len(s.records), func(i int) bool { return s.records[i].Time.After(t) })
	return driver.Position(n), ctx.Err()
}
