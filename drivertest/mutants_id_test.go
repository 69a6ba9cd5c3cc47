package drivertest

import (
	"context"
	"errors"
	"sync"

	"github.com/annals-db/annals/driver"
)

var idMutants = []mutant{
	{"IDs are looked at after conditions", "id/IDs are looked at before conditions", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			if !r.Repeated || len(b.Conditions) == 0 {
				return r, err
			}
			all, err := collect(ctx, l.handle, everything, driver.ReadOptions{})
			if err != nil {
				return driver.Receipt{}, err
			}
			head := driver.Position(len(all))
			if i := newJudge(all).first(b.Conditions, head); i >= 0 {
				return driver.Receipt{}, &driver.ConflictError{Condition: b.Conditions[i], Index: i, Head: head}
			}
			return r, nil
		}
	}},
	{"IDs are looked at after the time", "id/IDs are looked at before the time", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			if info, _ := l.Info(ctx); b.Time.Before(info.Time) && !b.Time.IsZero() {
				return driver.Receipt{}, &driver.InvalidError{Index: -1, Field: "time", Reason: "too early"}
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"a repeated batch is refused", "id/the same batch again returns the first receipt", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			if r.Repeated {
				return driver.Receipt{}, &driver.IDError{ID: b.Events[0].ID, Position: r.First, Reason: "known"}
			}
			return r, err
		}
	}},
	{"a repeated batch is not said to be one", "id/the same batch again returns the first receipt", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			r.Repeated = false
			return r, err
		}
	}},
	{"a repeated batch is given the log's time now", "id/a repeated batch may have other metadata and another time of occurrence", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			if r.Repeated {
				r.Time = r.Time.Add(1)
			}
			return r, err
		}
	}},
	{"a batch known in part is taken for repeated", "id/a batch known in part is an error", takesForRepeated},
	{"other content is taken for repeated", "id/an ID with other content is an error that names it and its place", takesForRepeated},
	{"two batches are taken for one", "id/events of two batches are not a batch", takesForRepeated},
	{"old IDs are forgotten", "id/IDs are known over the whole history", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			if info, _ := l.Info(ctx); r.Repeated && r.First+100 < info.Head {
				for i := range b.Events {
					b.Events[i].ID[0] ^= 0xff
				}
				return l.handle.Append(ctx, b)
			}
			return r, err
		}
	}},
	{"an ID is compared by its first half", "id/an ID that differs in one bit is another", func(l *liar) {
		var mu sync.Mutex
		seen := map[[8]byte]driver.Receipt{}
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			half := [8]byte(b.Events[0].ID[:8])
			if r, ok := seen[half]; ok {
				r.Repeated = true
				return r, nil
			}
			r, err := l.handle.Append(ctx, b)
			seen[half] = r
			return r, err
		}
	}},
}

// takesForRepeated answers every *driver.IDError with a receipt.
func takesForRepeated(l *liar) {
	l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
		r, err := l.handle.Append(ctx, b)
		var known *driver.IDError
		if errors.As(err, &known) {
			return driver.Receipt{First: known.Position, Last: known.Position, Repeated: true}, nil
		}
		return r, err
	}
}
