package driver

import (
	"context"
	"errors"
	"time"
)

// PositionAt returns the last position of log whose time is at or before t, 0
// if there is none: by the log's [Locator], or else by reading a record for
// each bit of the head.
func PositionAt(ctx context.Context, log Log, t time.Time) (Position, error) {
	if l, ok := log.(Locator); ok {
		if p, err := l.PositionAt(ctx, t); !errors.Is(err, errors.ErrUnsupported) {
			return p, err
		}
	}
	info, err := log.Info(ctx)
	if err != nil {
		return 0, err
	}
	low, high := Position(0), info.Head // low is at or before t, everything above high is after
	for low < high {
		mid := low + (high-low+1)/2
		for r, err := range log.Read(ctx, Query{}, ReadOptions{After: mid - 1, UpTo: mid}) {
			if err != nil {
				return 0, err
			}
			if r.Time.After(t) {
				high = mid - 1
			} else {
				low = mid
			}
		}
	}
	return low, nil
}
