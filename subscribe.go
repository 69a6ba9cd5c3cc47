package annals

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/annals-db/annals/driver"
)

// SubscribeOptions are the options of [DB.Subscribe].
type SubscribeOptions struct {
	// After is the position to go on after. Defaults to 0, the start of the log.
	After Position
	// Since, if set, goes on after what the log had at that time, instead of After.
	Since time.Time
	// FromHead goes on after the head, instead of After. Defaults to false.
	FromHead bool
	// Progress also yields notifications without a record: whenever the log
	// has been looked through further than the last record yielded, and when
	// the head is reached. Defaults to false.
	Progress bool
	// Batch is how many records [DB.SubscribeBatches] yields at most at once;
	// Subscribe does not look at it. Defaults to 1,000.
	Batch int
}

// Notification is what a subscription yields.
type Notification struct {
	Record            // Position is 0 where only progress is told
	Scanned  Position // everything up to and with this position has been looked at
	CaughtUp bool     // Scanned is the head, as far as is known
}

// Subscribe yields the records that match q, in order, with no gap and no
// duplicate: first those the log has, then those that are appended, until ctx
// ends or the loop is left. The last thing yielded is the error that ended it,
// ctx's own among them. A slow loop holds nobody back: the log is read as the
// loop comes round.
func (db *DB) Subscribe(ctx context.Context, q Query, opts *SubscribeOptions) iter.Seq2[Notification, error] {
	var o SubscribeOptions
	if opts != nil {
		o = *opts
	}
	return func(yield func(Notification, error) bool) {
		q := q // each ranging is a listener of its own
		after, err := db.subscribeFrom(ctx, o)
		for alone := false; err == nil; {
			var info driver.Info
			if info, err = db.log.Info(ctx); err != nil {
				break
			}
			if after > info.Head {
				err = &driver.PositionError{What: fmt.Sprintf("position %d", after), Head: info.Head}
				break
			}
			more := false
			if more, err = db.deliver(ctx, q, o.Progress, after, info.Head, yield); !more {
				return
			}
			if err != nil {
				break
			}
			if after = info.Head; alone {
				_, err = db.log.Wait(ctx, after)
			} else if after, alone, more, err = db.live(ctx, &q, o.Progress, after, yield); !more {
				return
			}
		}
		yield(Notification{}, err)
	}
}

func (db *DB) subscribeFrom(ctx context.Context, o SubscribeOptions) (Position, error) {
	switch {
	case o.FromHead:
		info, err := db.log.Info(ctx)
		return info.Head, err
	case !o.Since.IsZero():
		return driver.PositionAt(ctx, db.log, o.Since)
	}
	return o.After, nil
}

// deliver yields what lies between after and head. It returns false when the
// loop was left.
func (db *DB) deliver(ctx context.Context, q Query, progress bool, after, head Position, yield func(Notification, error) bool) (bool, error) {
	last := after
	if head > after {
		for r, err := range db.log.Read(ctx, q, ReadOptions{After: after, UpTo: head}) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return true, err
			}
			last = r.Position
			if !yield(Notification{Record: r, Scanned: r.Position, CaughtUp: r.Position == head}, nil) {
				return false, nil
			}
		}
	}
	if progress && (last < head || after == head) {
		return yield(Notification{Scanned: head, CaughtUp: true}, nil), nil
	}
	return true, nil
}
