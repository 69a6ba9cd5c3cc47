package move

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/feed"
)

// window is how many batches are under way, windowBytes about how much of them.
const (
	window      = 4096
	windowBytes = 64 << 20
)

// place is where a batch must be in the copy.
type place struct {
	first, last driver.Position
	time        time.Time
}

// append appends the source's records up to head as their first writers did.
func (c *copier) append(ctx context.Context, head driver.Position) error {
	after := c.result.Head
	return feed.Run(ctx, c.to, &feed.Options{Window: window}, func(f *feed.Feeder[place]) error {
		underway := 0
		for chunk, err := range c.chunks(ctx, after, head) {
			if err != nil {
				return err
			}
			for len(chunk) > 0 {
				n := wholeBatch(chunk)
				p, b, bytes := placed(chunk[:n])
				if chunk, underway = chunk[n:], underway+bytes; underway > windowBytes {
					underway = 0
					if err := f.Flush(); err != nil {
						return err
					}
				}
				if err := f.Submit(p, b); err != nil {
					return err
				}
			}
		}
		return nil
	}, c.answered)
}

// wholeBatch returns how many of records are of the batch of the first.
func wholeBatch(records []driver.Record) int {
	for n := range records {
		if records[n].Batch != records[0].Batch {
			return n
		}
	}
	return len(records)
}

// placed returns the batch that records were, its place, and its size in bytes.
func placed(records []driver.Record) (place, driver.Batch, int) {
	first, last := &records[0], &records[len(records)-1]
	b := driver.Batch{Events: make([]driver.Event, len(records)), Conditions: first.Conditions, Time: first.Time}
	bytes := 0
	for i := range records {
		b.Events[i] = records[i].Event
		bytes += records[i].Size()
	}
	return place{first.Position, last.Position, first.Time}, b, bytes
}

func (c *copier) answered(p place, r driver.Receipt, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("position %d: %w", p.first, err)
	case r.First != p.first || r.Last != p.last:
		return fmt.Errorf("position %d is at %d in the copy: something else has written to it", p.first, r.First)
	case !r.Time.Equal(p.time):
		return fmt.Errorf("position %d has the time %s in the copy, not %s", p.first, r.Time.Format(time.RFC3339Nano), p.time.Format(time.RFC3339Nano))
	}
	c.copied(p.last)
	return nil
}
