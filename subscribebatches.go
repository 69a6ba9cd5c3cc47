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

// batchBytes is with how many bytes a batch is full, however few its records are.
const batchBytes = 4 << 20

// SubscribeBatches is [DB.Subscribe] in batches of up to
// [SubscribeOptions].Batch records, for loops that do many at once, such as in
// one transaction of a database. A batch is yielded when it is full, also with
// 4 MiB in it, or when the log has no more for now; none is waited for to fill up.
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
		bytes := 0
		flush := func() bool {
			out := b
			b.Records, bytes = nil, 0
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
				bytes += n.Size()
			}
			if (n.CaughtUp || n.Position == 0 || len(b.Records) >= size || bytes >= batchBytes) && !flush() {
				return
			}
		}
	}
}
