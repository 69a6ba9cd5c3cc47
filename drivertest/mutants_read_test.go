package drivertest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

var readMutants = []mutant{
	{"after is not strict", "read/the bounds are strictly after and up to and with", options(func(o *driver.ReadOptions, _ driver.Position) {
		if o.After > 0 {
			o.After--
		}
	})},
	{"up to is strict", "read/the bounds hold for a query likewise", options(func(o *driver.ReadOptions, _ driver.Position) {
		if o.UpTo > 1 {
			o.UpTo--
		}
	})},
	{"a position beyond the head is the head", "read/a position beyond the head is an error", options(func(o *driver.ReadOptions, head driver.Position) {
		o.After, o.UpTo = min(o.After, head), min(o.UpTo, head)
	})},
	{"the limit is one too many", "read/the bounds are strictly after and up to and with", options(func(o *driver.ReadOptions, _ driver.Position) {
		if o.Limit > 1 {
			o.Limit++
		}
	})},
	{"backward is forgotten", "query/types select any of them", options(func(o *driver.ReadOptions, _ driver.Position) { o.Backward = false })},
	{"a read goes on as the log grows", "read/a read sees the log as it is when ranging begins", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				for more := true; more; {
					more = false
					for r, err := range l.handle.Read(ctx, q, o) {
						if more = !o.Backward && o.UpTo == 0 && o.Limit == 0; !yield(r, err) || err != nil {
							return
						}
						o.After = r.Position
					}
				}
			}
		}
	}},
	{"a read begins before it is ranged over", "read/nothing starts until it is ranged over", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			records, err := collect(ctx, l.handle, q, o)
			return func(yield func(driver.Record, error) bool) {
				for _, r := range records {
					if !yield(r, nil) {
						return
					}
				}
				if err != nil {
					yield(driver.Record{}, err)
				}
			}
		}
	}},
	{"a read that fails looks like the end", "read/a context that ends ends the read with its error", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				for r, err := range l.handle.Read(ctx, q, o) {
					if errors.Is(err, context.Canceled) || !yield(r, err) {
						return
					}
				}
			}
		}
	}},
	{"a reader that is left holds the store", "read/leaving the loop releases everything", func(l *liar) {
		held := false
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				for r, err := range l.handle.Read(ctx, q, o) {
					if !yield(r, err) {
						held = true
						return
					}
				}
			}
		}
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			if held {
				return driver.Receipt{}, driver.ErrUnavailable
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"records share a buffer", "read/records may be kept", func(l *liar) {
		buffer := make([]byte, 0, 1<<20)
		l.change = func(r *driver.Record) {
			buffer = append(buffer[:0], r.Data...)
			r.Data = buffer
		}
	}},
	{"a gap can be seen", "subscription/catches up and goes live with no gap and no duplicate", func(l *liar) {
		// Of two committers the slower one's records appear later, at a lower position.
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				for r, err := range l.handle.Read(ctx, q, o) {
					if err == nil && r.Batch%3 == 0 && time.Since(r.Time) < 300*time.Microsecond {
						continue
					}
					if !yield(r, err) {
						return
					}
				}
			}
		}
	}},
	{"a record comes twice where two items match", "query/items are alternatives and a record comes once", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				for r, err := range l.handle.Read(ctx, q, o) {
					n := len(slices.DeleteFunc(slices.Clone(q.Items), func(i driver.Item) bool { return !i.Matches(&r.Event) }))
					for range max(n, 1) {
						if !yield(r, err) {
							return
						}
					}
				}
			}
		}
	}},
	{"one of the tags is enough", "query/tags select what carries all of them", queries(func(i driver.Item) (out []driver.Item) {
		for _, t := range i.Tags {
			j := i
			j.Tags = []string{t}
			out = append(out, j)
		}
		return out
	})},
	{"only the first type is looked for", "query/types select any of them", queries(func(i driver.Item) []driver.Item {
		i.Types = i.Types[:min(len(i.Types), 1)]
		return []driver.Item{i}
	})},
	{"only a hundred names are looked for", "query/a query may name many streams, types, tags and IDs", queries(func(i driver.Item) []driver.Item {
		i.Streams = i.Streams[:min(len(i.Streams), 100)]
		return []driver.Item{i}
	})},
	{"a category is a prefix", "query/a category selects its streams and no others", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			if len(q.Items) != 1 || q.Items[0].Category != "it" {
				return l.handle.Read(ctx, q, o)
			}
			return l.handle.Read(ctx, items(driver.Item{Category: "item"}), o)
		}
	}},
	{"an empty item selects nothing", "query/an item with no field set selects everything", func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			if len(q.Items) > 0 && q.All() {
				q = ofStream("no-such")
			}
			return l.handle.Read(ctx, q, o)
		}
	}},
	{"nothing wakes a wait", "wait/is woken by an append", func(l *liar) {
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			if info, err := l.Info(ctx); err != nil || info.Head > after {
				return info.Head, err
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}
	}},
	{"a wait returns without need", "wait/stays while the head is not greater", func(l *liar) {
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			info, err := l.Info(ctx)
			return info.Head, err
		}
	}},
	{"a wait does not end with its context", "wait/ends promptly when its context does", func(l *liar) {
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			return l.handle.Wait(context.WithoutCancel(ctx), after)
		}
	}},
	{"a wait does not end with the log", "wait/ends when the log is closed", func(l *liar) {
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			return l.store.Wait(ctx, after)
		}
	}},
	{"one waiter is woken", "wait/wakes every waiter", func(l *liar) {
		turn := make(chan struct{}, 1)
		turn <- struct{}{}
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			select {
			case <-turn:
				defer func() { turn <- struct{}{} }()
				return l.handle.Wait(ctx, after)
			default: // no one looks at this one again
				<-ctx.Done()
				return 0, ctx.Err()
			}
		}
	}},
	{"a wait tells of what cannot be read yet", "wait/what it returns can be read", func(l *liar) {
		l.wait = func(ctx context.Context, after driver.Position) (driver.Position, error) {
			head, err := l.handle.Wait(ctx, after)
			return head + 1, err
		}
	}},
	{"a subscriber that stands still holds back writers", "subscription/a slow one does not hold back writers", func(l *liar) {
		turn := make(chan struct{}, 1)
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			return func(yield func(driver.Record, error) bool) {
				turn <- struct{}{}
				defer func() { <-turn }()
				l.handle.Read(ctx, q, o)(yield)
			}
		}
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			select {
			case turn <- struct{}{}:
				defer func() { <-turn }()
				return l.handle.Append(ctx, b)
			case <-ctx.Done():
				return driver.Receipt{}, ctx.Err()
			}
		}
	}},
}

// options changes the options of every read, given the head.
func options(change func(o *driver.ReadOptions, head driver.Position)) func(l *liar) {
	return func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			info, _ := l.Info(ctx)
			change(&o, info.Head)
			return l.handle.Read(ctx, q, o)
		}
	}
}

// queries replaces each item of every query by others, unless there are none.
func queries(replace func(i driver.Item) []driver.Item) func(l *liar) {
	return func(l *liar) {
		l.read = func(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
			var out driver.Query
			for _, i := range q.Items {
				if others := replace(i); len(others) > 0 {
					out.Items = append(out.Items, others...)
				} else {
					out.Items = append(out.Items, i)
				}
			}
			return l.handle.Read(ctx, out, o)
		}
	}
}
