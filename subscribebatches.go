package annals

import (
	"context"
	"iter"
)

// Notifications is what a subscription in batches yields.
type Notifications struct {
	Records  []Record // in order, the loop's to keep; none where only progress is told
	Scanned  Position // everything up to and with this position has been looked at
	CaughtUp bool     // Scanned is the head, as far as is known
}

// SubscribeBatches is [DB.Subscribe] in batches of up to
// [SubscribeOptions].Batch records, for loops that do many at once, such as in
// one transaction of a database. A batch is yielded when it is full, or when
// the log has no more for now; none is waited for to fill up.
func (db *DB) SubscribeBatches(ctx context.Context, q Query, opts *SubscribeOptions) iter.Seq2[Notifications, error] {
	var o SubscribeOptions
	if opts != nil {
		o = *opts
	}
	size := o.Batch
	if size <= 0 {
		size = 1000
	}
	progress := o.Progress
	o.Progress = true // tells where the records for now end
	return func(yield func(Notifications, error) bool) {
		var b Notifications
		flush := func() bool {
			out := b
			b.Records = nil
			return len(out.Records) == 0 && !progress || yield(out, nil)
		}
		for n, err := range db.Subscribe(ctx, q, &o) {
			if err != nil {
				if len(b.Records) == 0 || flush() {
					yield(Notifications{}, err)
				}
				return
			}
			b.Scanned, b.CaughtUp = n.Scanned, n.CaughtUp
			if n.Position > 0 {
				b.Records = append(b.Records, n.Record)
			}
			if (n.CaughtUp || n.Position == 0 || len(b.Records) >= size) && !flush() {
				return
			}
		}
	}
}
