package drivertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

var appendMutants = []mutant{
	{"a batch is appended event by event", "batch/a reader never sees a part of a batch", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (receipt driver.Receipt, err error) {
			for i, ev := range b.Events {
				one := driver.Batch{Events: []driver.Event{ev}, Time: b.Time}
				if i == 0 {
					one.Conditions = b.Conditions
				}
				r, err := l.handle.Append(ctx, one)
				if err != nil {
					return receipt, err
				}
				if i == 0 {
					receipt = r
				} else {
					receipt.Last, receipt.Versions = r.Last, append(receipt.Versions, r.Versions...)
				}
			}
			return receipt, nil
		}
	}},
	{"a batch that fails keeps its beginning", "batch/a batch that fails in its last event leaves nothing", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			if err != nil && len(b.Events) > 1 {
				_, _ = l.handle.Append(ctx, driver.Batch{Events: b.Events[:1]})
			}
			return r, err
		}
	}},
	{"acknowledged before it can be read", "append/what is acknowledged can be read at once", func(l *liar) {
		var mu sync.Mutex
		acknowledged := driver.Position(0)
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			time.AfterFunc(time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				acknowledged = max(acknowledged, r.Last)
			})
			return r, err
		}
		l.info = func(i *driver.Info) {
			mu.Lock()
			defer mu.Unlock()
			i.Head = min(i.Head, acknowledged)
		}
	}},
	{"the caller's memory is kept", "append/the caller owns the batch's memory again", func(l *liar) {
		var mu sync.Mutex
		kept := map[driver.ID]driver.Event{}
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, ev := range b.Events {
				kept[ev.ID] = ev
			}
			return l.handle.Append(ctx, b)
		}
		l.change = func(r *driver.Record) {
			mu.Lock()
			defer mu.Unlock()
			r.Data = kept[r.ID].Data
		}
	}},
	{"an ended context is not looked at", "append/an append with an ended context appends nothing", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			return l.handle.Append(context.WithoutCancel(ctx), b)
		}
	}},
	{"an unknown outcome is told as a failure", "append/an append whose context ends on the way is there, is not, or says it is unknown and can be repeated", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(context.WithoutCancel(ctx), b)
			if ctx.Err() != nil {
				return driver.Receipt{}, ctx.Err()
			}
			return r, err
		}
	}},
	{"versions count from 0", "append/the receipt says where the batch is and how durable", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			for i := range r.Versions {
				r.Versions[i]--
			}
			return r, err
		}
	}},
	{"versions have gaps", "append/versions of each stream count 1, 2, 3 with no gap", func(l *liar) {
		l.change = func(r *driver.Record) {
			if r.Version > 5 {
				r.Version++
			}
		}
	}},
	{"the clock is not clamped", "time/time never runs backwards however the clock jumps", func(l *liar) {
		l.change = func(r *driver.Record) { r.Time = r.Time.Add(-time.Duration(r.Position%3) * time.Second) }
	}},
	{"a time before the head's is moved to it", "time/a time before the head's is refused", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			if info, _ := l.Info(ctx); b.Time.Before(info.Time) && !b.Time.IsZero() {
				b.Time = info.Time
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"a time that is given is not taken", "time/a time that is given is taken for the whole batch", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			b.Time = time.Time{}
			return l.handle.Append(ctx, b)
		}
	}},
	{"invalid text is mended", "invalid/a stream that is not valid UTF-8 or has a NUL", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			for i := range b.Events {
				b.Events[i].Stream = strings.ToValidUTF8(b.Events[i].Stream, "?")
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"a payload over the limit is cut", "limit/an event is taken up to its limit and refused beyond", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			for i := range b.Events {
				b.Events[i].Data = b.Events[i].Data[:min(len(b.Events[i].Data), 1<<20-len("item-1A"))]
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"what is submitted overtakes", "submit/what is submitted lies in the log in that order", func(l *liar) {
		l.submit = func(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
			var r driver.Receipt
			var err error
			done := make(chan struct{})
			d := time.Duration(rand.IntN(int(time.Millisecond)))
			go func() {
				time.Sleep(d)
				b.Time = time.Time{}
				r, err = l.Append(ctx, b)
				close(done)
			}()
			return func() (driver.Receipt, error) { <-done; return r, err }
		}
	}},
	{"who submits and who appends are judged apart", "submit/several may submit and append at once, each in its own order", func(l *liar) {
		l.submit = func(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
			answer := make(chan func() (driver.Receipt, error), 1)
			go func() {
				r, err := l.Append(ctx, b)
				answer <- func() (driver.Receipt, error) { return r, err }
			}()
			return func() (driver.Receipt, error) { return (<-answer)() }
		}
	}},
	{"one that is refused stops those behind it", "submit/one that is refused does not stop those behind it", func(l *liar) {
		var stopped error
		l.submit = func(ctx context.Context, b driver.Batch) func() (driver.Receipt, error) {
			if stopped != nil {
				return func() (driver.Receipt, error) { return driver.Receipt{}, stopped }
			}
			r, err := l.Append(ctx, b)
			stopped = err
			return func() (driver.Receipt, error) { return r, err }
		}
	}},
	{"Close does nothing", "close/every method of a closed log says so", func(l *liar) {
		l.close = func() error { return nil }
	}},
	{"a goroutine outlives Close", "close/no goroutine outlives Close", func(l *liar) {
		never := make(chan struct{})
		l.close = func() error {
			go func() { <-never }()
			return l.handle.Close()
		}
	}},
	{"a second Close is an error", "close/a second Close does nothing", func(l *liar) {
		l.close = func() error {
			if l.isClosed() {
				return errors.New("closed already")
			}
			return l.handle.Close()
		}
	}},
	{"Close does not wait for appends under way", "close/what was acknowledged before Close is there when it is opened again", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			info, err := l.Info(ctx)
			go func() { _, _ = l.handle.Append(ctx, b) }()
			return driver.Receipt{First: info.Head + 1, Last: info.Head + 1}, err
		}
	}},
}
