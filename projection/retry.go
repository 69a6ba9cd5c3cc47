package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection/internal/sqlbook"
)

// Retried is what a retry of dead letters came to.
type Retried struct {
	Done   int     `json:"done"`             // events whose handlers succeeded; when dry, would have
	Failed *Letter `json:"failed,omitempty"` // the first one whose handler failed again, with its error
	Left   int     `json:"left"`             // letters of these keys that are still there
	Dry    bool    `json:"dry"`
}

// Retry handles the dead letters of a key again, in order, each in a
// transaction of its own, until one fails; an empty key means all keys. When
// dry it handles those of each key in one transaction and undoes it, which a
// read model in memory cannot: that is an error that wraps [errors.ErrUnsupported].
func (r *Runner) Retry(ctx context.Context, key string, dry bool) (Retried, error) {
	out := Retried{Dry: dry}
	if dry && r.oneWay {
		return out, fmt.Errorf("projection %s: retry dry: what handlers do in memory cannot be undone: %w", r.name, errors.ErrUnsupported)
	}
	letters, err := r.letters(ctx)
	if err != nil {
		return out, fmt.Errorf("projection %s: retry: %w", r.name, err)
	}
	var keys []string
	of := map[string][]Letter{}
	for _, l := range letters {
		if key != "" && l.Key != key {
			continue
		}
		if of[l.Key] == nil {
			keys = append(keys, l.Key)
		}
		of[l.Key] = append(of[l.Key], l)
	}
	for _, k := range keys {
		done, bad, err := 0, (*Letter)(nil), error(nil)
		if dry {
			done, bad, err = r.retryDry(ctx, of[k])
		} else {
			done, bad, err = r.retryKey(ctx, of[k])
		}
		out.Done += done
		if out.Failed == nil {
			out.Failed = bad
		}
		if err != nil {
			return out, fmt.Errorf("projection %s: retry: %w", r.name, err)
		}
		out.Left += len(of[k])
		if !dry {
			out.Left -= done
		}
	}
	return out, tell(ctx, r.log, r.keeper, r.name)
}

func (r *Runner) letters(ctx context.Context) (all []Letter, err error) {
	err = r.keeper.Keep(ctx, func(ctx context.Context, b Book) (err error) {
		all, err = list[Letter](ctx, b, versionKey(r.name, r.version)+"dead/")
		return err
	})
	return all, err
}

// retryKey handles the letters of one key for good.
func (r *Runner) retryKey(ctx context.Context, letters []Letter) (done int, bad *Letter, err error) {
	for _, l := range letters {
		rec, err := r.record(ctx, l.Position)
		if err != nil {
			return done, nil, err
		}
		err = r.update(ctx, func(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error) error {
			cp, still, err := r.lockLetter(ctx, b, &l)
			if err != nil || !still {
				return err
			}
			if err := apply(ctx, &rec); err != nil {
				return &failed{rec: rec, err: err}
			}
			if err := removeLetter(ctx, b, r.name, r.version, &l, cp); err != nil {
				return err
			}
			return act(ctx, b, r.name, "dead-letter-retried", action{Version: r.version, Position: l.Position, Key: l.Key})
		})
		if refused, ok := errors.AsType[*sqlbook.RefusedError](err); ok {
			err = &failed{rec: rec, err: refused}
		}
		var f *failed
		if errors.As(err, &f) {
			l.Error, l.Time = f.err.Error(), now()
			l.Attempts++
			return done, &l, r.failedAgain(ctx, &l)
		}
		if err != nil {
			return done, nil, err
		}
		done++
	}
	return done, nil, nil
}

// failedAgain keeps the new error of a letter.
func (r *Runner) failedAgain(ctx context.Context, l *Letter) error {
	return r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		_, still, err := r.lockLetter(ctx, b, l)
		if err != nil || !still {
			return err
		}
		if err := save(ctx, b, letterKey(r.name, r.version, l.Position), l); err != nil {
			return err
		}
		return act(ctx, b, r.name, "dead-letter-retried", action{Version: r.version, Position: l.Position, Key: l.Key, Error: l.Error})
	})
}

// lockLetter locks the checkpoint of l's partition and reports whether l is still there.
func (r *Runner) lockLetter(ctx context.Context, b Book, l *Letter) (*checkpoint, bool, error) {
	cp, err := load[checkpoint](ctx, b.Lock, checkpointKey(r.name, r.version, l.Partition))
	if err != nil || cp == nil {
		return nil, false, err
	}
	value, err := b.Load(ctx, letterKey(r.name, r.version, l.Position))
	return cp, value != nil, err
}

var errDry = errors.New("only tried")

// retryDry handles the letters of one key in a transaction that is undone.
func (r *Runner) retryDry(ctx context.Context, letters []Letter) (done int, bad *Letter, err error) {
	err = r.update(ctx, func(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error) error {
		done, bad = 0, nil
		for _, l := range letters {
			if _, still, err := r.lockLetter(ctx, b, &l); err != nil || !still {
				return errors.Join(err, errDry)
			}
			rec, err := r.record(ctx, l.Position)
			if err != nil {
				return err
			}
			if err := apply(ctx, &rec); err != nil {
				l.Error = err.Error()
				bad = &l
				return errDry
			}
			done++
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		err = r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
			a := action{Version: r.version, Position: letters[0].Position, Key: letters[0].Key, Dry: true, Retried: done}
			if bad != nil {
				a.Error = bad.Error
			}
			return act(ctx, b, r.name, "dead-letter-retried", a)
		})
	}
	return done, bad, err
}

// record reads one record of the log.
func (r *Runner) record(ctx context.Context, at annals.Position) (driver.Record, error) {
	for rec, err := range r.log.Read(ctx, annals.Query{}, driver.ReadOptions{After: at - 1, UpTo: at}) {
		return rec, err
	}
	return driver.Record{}, fmt.Errorf("position %d: %w", at, annals.ErrNotFound)
}
