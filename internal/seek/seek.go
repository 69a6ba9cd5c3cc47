// Package seek finds positions by time: [AsOf].
package seek

import (
	"context"
	"time"

	"github.com/annals-db/annals/driver"
)

// AsOf returns the last position of log whose time is at or before t, 0 if
// there is none. A log that cannot find it itself is searched by halves.
func AsOf(ctx context.Context, log driver.Log, t time.Time) (driver.Position, error) {
	if l, ok := log.(driver.Locator); ok {
		return l.PositionAt(ctx, t)
	}
	info, err := log.Info(ctx)
	if err != nil {
		return 0, err
	}
	low, high := driver.Position(0), info.Head // the answer is from low to high
	for low < high {
		middle := high - (high-low)/2
		at, err := timeOf(ctx, log, middle)
		switch {
		case err != nil:
			return 0, err
		case at.After(t):
			high = middle - 1
		default:
			low = middle
		}
	}
	return low, nil
}

func timeOf(ctx context.Context, log driver.Log, p driver.Position) (time.Time, error) {
	for rec, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{After: p - 1, Limit: 1}) {
		return rec.Time, err
	}
	return time.Time{}, &driver.CorruptError{Position: p, Place: "the log", Reason: "the record is missing"}
}
