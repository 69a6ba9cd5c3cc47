package drivertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

var conditionMutants = []mutant{
	{"conditions are ignored", "condition/of writers that exclude each other exactly one wins", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			return l.handle.Append(ctx, driver.Batch{Events: b.Events, Time: b.Time})
		}
	}},
	{"only the first condition is judged", "condition/all must hold and the first that fails is named", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			b.Conditions = b.Conditions[:min(len(b.Conditions), 1)]
			return l.handle.Append(ctx, b)
		}
	}},
	{"conditions are judged before the lock is taken", "race/racing writers leave a history that their conditions explain", judgesEarly},
	{"conditions by tags are judged before the lock is taken", "race/a decision by tags is never made twice", judgesEarly},
	{"money is moved by conditions judged before the lock is taken", "race/money moved between streams is neither made nor lost", judgesEarly},
	{"conditions are judged before the lock is taken, plainly", "condition/of writers that exclude each other exactly one wins", judgesEarly},
	{"none after includes the position itself", "condition/none after is strictly greater and names a record that matches", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			b.Conditions = slices.Clone(b.Conditions)
			for i := range b.Conditions {
				if b.Conditions[i].After > 0 {
					b.Conditions[i].After--
				}
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"none after 0 looks only at the newest records", "condition/none after 0 looks at the whole log", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			b.Conditions = slices.Clone(b.Conditions)
			info, _ := l.Info(ctx)
			for i := range b.Conditions {
				if c := &b.Conditions[i]; c.Kind == driver.NoneAfterKind && info.Head > 50 {
					c.After = max(c.After, info.Head-50)
				}
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"none after a position beyond the head holds", "condition/none after a position beyond the head is an error", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			var beyond *driver.PositionError
			if errors.As(err, &beyond) {
				return l.handle.Append(ctx, driver.Batch{Events: b.Events})
			}
			return r, err
		}
	}},
	{"the conflict's head cannot be read yet", "condition/a stream at another version conflicts and says at which it is", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			var c *driver.ConflictError
			if errors.As(err, &c) {
				c.Head++
			}
			return r, err
		}
	}},
	{"the conflict names the wrong version", "condition/conflict reports where the log stands", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			var c *driver.ConflictError
			if errors.As(err, &c) {
				c.Version--
			}
			return r, err
		}
	}},
	{"the loser leaves a trace", "condition/losers leave no trace", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			var c *driver.ConflictError
			if errors.As(err, &c) {
				_, _ = l.handle.Append(ctx, driver.Batch{Events: b.Events})
			}
			return r, err
		}
	}},
	{"writers abort each other needlessly", "condition/writers whose conditions do not overlap never conflict", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			if len(b.Conditions) > 0 && rand.IntN(20) == 0 {
				info, err := l.Info(ctx)
				if err != nil {
					return driver.Receipt{}, err
				}
				return driver.Receipt{}, &driver.ConflictError{Condition: b.Conditions[0], Head: info.Head}
			}
			return l.handle.Append(ctx, b)
		}
	}},
	{"a conflict is told that no order explains", "race/racing writers leave a history that their conditions explain", func(l *liar) {
		l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
			r, err := l.handle.Append(ctx, b)
			var c *driver.ConflictError
			if errors.As(err, &c) && c.Head > 1 {
				c.Head /= 2 // readable, but long before the condition failed
			}
			return r, err
		}
	}},
}

// judgesEarly judges conditions by a log that others may append to before the
// batch is taken. The conditions themselves are kept as they should be.
func judgesEarly(l *liar) {
	var mu sync.Mutex
	kept := map[driver.ID][]driver.Condition{}
	l.append = func(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
		all, err := collect(ctx, l.handle, everything, driver.ReadOptions{})
		if err != nil {
			return driver.Receipt{}, err
		}
		if newJudge(all).first(b.Conditions, driver.Position(len(all))) >= 0 {
			return l.handle.Append(ctx, b) // which refuses it
		}
		time.Sleep(200 * time.Microsecond)
		mu.Lock()
		kept[b.Events[0].ID] = b.Conditions
		mu.Unlock()
		return l.handle.Append(ctx, driver.Batch{Events: b.Events, Time: b.Time})
	}
	l.change = func(r *driver.Record) {
		mu.Lock()
		defer mu.Unlock()
		if r.Position == r.Batch {
			r.Conditions = kept[r.ID]
		}
	}
}
