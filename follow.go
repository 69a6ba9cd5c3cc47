package annals

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// NotificationLog is a log that is read in pages, as [DB.Select] does: this
// one's or, over whatever wire, another's.
type NotificationLog interface {
	// Select returns up to limit records from position start on, in order;
	// none where the log ends before it. It may return fewer than there are.
	Select(ctx context.Context, start Position, limit int) ([]Record, error)
}

// FollowOptions are the options of [Follow].
type FollowOptions struct {
	// After is the position to go on after. Defaults to 0, the start of the log.
	After Position
	// Page is how many records are asked for at once. Defaults to 500.
	Page int
	// Interval is the pause before the end of the log is asked for more.
	// Defaults to 100 ms.
	Interval time.Duration
	// Progress also yields notifications without a record: whenever the log
	// has been looked through further than the last record yielded, and when
	// its end is reached. Defaults to false.
	Progress bool
}

// Follow is [DB.Subscribe] for a log that is read in pages: it yields the same
// records in the same order, first those that are there, then those that come,
// which it finds by asking again. A position that does not exist is an error.
func Follow(ctx context.Context, log NotificationLog, q Query, opts *FollowOptions) iter.Seq2[Notification, error] {
	var o FollowOptions
	if opts != nil {
		o = *opts
	}
	if o.Page <= 0 {
		o.Page = 500
	}
	if o.Interval <= 0 {
		o.Interval = 100 * time.Millisecond
	}
	return func(yield func(Notification, error) bool) {
		after, page := o.After, []Record(nil)
		err := exists(ctx, log, after)
		if err == nil {
			page, err = log.Select(ctx, after+1, o.Page)
		}
		if err == nil && len(page) == 0 && o.Progress && !yield(Notification{Scanned: after, CaughtUp: true}, nil) {
			return
		}
		for err == nil {
			if len(page) == 0 {
				if err = sleep(ctx, o.Interval); err == nil {
					page, err = log.Select(ctx, after+1, o.Page)
				}
				continue
			}
			// Only an empty page is the end: a log may give less than is asked for.
			last := page[len(page)-1].Position
			next := sync.OnceValues(func() ([]Record, error) { return log.Select(ctx, last+1, o.Page) })
			var more bool
			if more, err = yieldPage(ctx, page, q, o, after, next, yield); !more {
				return
			}
			if after = last; err == nil {
				page, err = next()
			}
		}
		yield(Notification{}, err)
	}
}

// exists checks that log has a position.
func exists(ctx context.Context, log NotificationLog, p Position) error {
	if p == 0 {
		return nil
	}
	page, err := log.Select(ctx, p, 1)
	if err == nil && len(page) == 0 {
		err = &driver.PositionError{What: fmt.Sprintf("position %d", p)}
	}
	return err
}

// yieldPage yields what matches of the page behind after; next reads the one
// behind it, when that is to be known. It returns false when the loop was left.
func yieldPage(ctx context.Context, page []Record, q Query, o FollowOptions, after Position, next func() ([]Record, error), yield func(Notification, error) bool) (bool, error) {
	end := func() bool {
		behind, err := next()
		return err == nil && len(behind) == 0
	}
	last := after
	for i := range page {
		r := &page[i]
		if err := ctx.Err(); err != nil {
			return true, err
		}
		if r.Position != after+Position(i)+1 {
			return true, &driver.CorruptError{Position: after + Position(i) + 1, Place: "notification log", Reason: fmt.Sprintf("position %d stands in its place", r.Position)}
		}
		if !q.Matches(&r.Event) {
			continue
		}
		last = r.Position
		if !yield(Notification{Record: *r, Scanned: last, CaughtUp: i == len(page)-1 && end()}, nil) {
			return false, nil
		}
	}
	scanned := after + Position(len(page))
	if o.Progress && last < scanned {
		return yield(Notification{Scanned: scanned, CaughtUp: end()}, nil), nil
	}
	return true, nil
}
