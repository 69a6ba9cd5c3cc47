package filestore

import (
	"context"
	"math"
	"sort"
	"time"

	"github.com/annals-db/annals/driver"
)

// PositionAt returns the last position whose time is at or before t, 0 if there is none.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	v, err := s.current(ctx)
	if err != nil || v.head == 0 || t.Before(unixNano(math.MinInt64)) {
		return 0, err
	}
	if !t.Before(unixNano(v.time)) {
		return v.head, nil
	}
	at := t.UnixNano()
	// The last segment whose first record is at or before t.
	i := sort.Search(len(v.segments), func(i int) bool { return v.segments[i].firstTime(v.head) > at }) - 1
	if i < 0 {
		return 0, nil
	}
	g := v.segments[i]
	x := g.index.Load()
	if x.mem != nil {
		return min(x.mem.AtOrBefore(at), v.head), nil
	}
	low, high, err := x.sealed.AtOrBefore(at)
	if err != nil {
		return 0, g.damagedIndex(err)
	}
	for low < high {
		rec, err := s.recordAt(v, low+1)
		if err != nil {
			return 0, s.ioError(err)
		}
		if rec.Time.UnixNano() > at {
			break
		}
		low++
	}
	return low, nil
}

// firstTime returns the time of the segment's first record, later than any if
// it has none up to head. The header's base time may be later than that: a
// segment of which only the header was left was begun by another clock.
func (g *segment) firstTime(head driver.Position) int64 {
	if g.header.first > head {
		return math.MaxInt64
	}
	if x := g.index.Load(); x.mem == nil {
		return x.sealed.FirstTime()
	} else {
		return x.mem.FirstTime()
	}
}

// StreamVersion returns the version of stream's last record, 0 if it has none.
func (s *Store) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	v, err := s.current(ctx)
	if err != nil {
		return 0, err
	}
	if version, ok := s.heads.get(stream); ok {
		return version, nil
	}
	version, last, err := s.lastOf(v, stream)
	if err == nil && last > v.head {
		// The index knows of a record that is not durable yet.
		q := driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}
		version = 0
		for r, err := range s.Read(ctx, q, driver.ReadOptions{UpTo: v.head, Backward: true, Limit: 1}) {
			return r.Version, err
		}
	}
	return version, s.ioError(err)
}
