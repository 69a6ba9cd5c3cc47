package filestore

import (
	"context"
	"sort"
	"time"

	"github.com/annals-db/annals/driver"
)

// PositionAt returns the last position whose time is at or before t, 0 if there is none.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	v, err := s.current(ctx)
	if err != nil || v.head == 0 {
		return 0, err
	}
	if t.Before(unixNano(v.segments[0].header.baseTime)) {
		return 0, nil
	}
	if !t.Before(unixNano(v.time)) {
		return v.head, nil
	}
	at := t.UnixNano()
	// The last segment that begins at or before t.
	i := sort.Search(len(v.segments), func(i int) bool { return v.segments[i].header.baseTime > at }) - 1
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
