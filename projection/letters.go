package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals"
)

// Letters returns the dead letters of a version in the log's order. An empty
// version is the live one.
func (c *Control) Letters(ctx context.Context, name, vn string) (all []Letter, err error) {
	err = c.look(ctx, name, vn, func(ctx context.Context, b Book, vn string, _ *version) (err error) {
		all, err = list[Letter](ctx, b, versionKey(name, vn)+"dead/")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("projection %s: dead letters: %w", name, err)
	}
	return all, nil
}

// look is change for looking only.
func (c *Control) look(ctx context.Context, name, vn string, fn func(context.Context, Book, string, *version) error) error {
	return c.k.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Load, registrationKey(name))
		if err != nil {
			return err
		}
		if reg == nil {
			return annals.ErrNotFound
		}
		vn := vn
		if vn == "" {
			vn = reg.Live
		}
		if reg.Versions[vn] == nil {
			return fmt.Errorf("version %s: %w", vn, annals.ErrNotFound)
		}
		return fn(ctx, b, vn, reg.Versions[vn])
	})
}

// Discard drops a dead letter: its event never takes effect. Those that wait
// behind it wait on, until they are retried.
func (c *Control) Discard(ctx context.Context, name, vn string, p annals.Position) error {
	return c.change(ctx, "drop a dead letter", name, vn, func(ctx context.Context, b Book, _ *registration, vn string, _ *version) error {
		l, err := load[Letter](ctx, b.Load, letterKey(name, vn, p))
		if err != nil {
			return err
		}
		if l == nil {
			return fmt.Errorf("position %d is no dead letter: %w", p, annals.ErrNotFound)
		}
		cp, err := load[checkpoint](ctx, b.Lock, checkpointKey(name, vn, l.Partition))
		if err != nil || cp == nil {
			return err
		}
		if still, err := b.Load(ctx, letterKey(name, vn, p)); err != nil || still == nil {
			return err
		}
		if err := removeLetter(ctx, b, name, vn, l, cp); err != nil {
			return err
		}
		return act(ctx, b, name, "dead-letter-dropped", action{Version: vn, Position: p, Key: l.Key, Error: l.Error})
	})
}

// Retry asks the process that runs the version to retry the dead letters of a
// key, as by [Runner.Retry], and waits for its answer. It waits until ctx ends
// for someone who runs it; whoever has begun and is not heard of any more is
// not waited for.
func (c *Control) Retry(ctx context.Context, name, vn, key string, dry bool) (Retried, error) {
	q := request{ID: annals.NewID().String(), Key: key, Dry: dry}
	var at string
	err := c.change(ctx, "retry", name, vn, func(ctx context.Context, b Book, _ *registration, v string, _ *version) error {
		vn = v
		at = requestKey(name, vn, q.ID)
		return save(ctx, b, at, q)
	})
	if err == nil {
		err = c.answered(ctx, name, vn, &q)
	}
	if at != "" {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, c.k.Keep(clean, func(ctx context.Context, b Book) error { return b.Delete(ctx, at) }))
	}
	switch {
	case err != nil:
		return Retried{}, fmt.Errorf("projection %s: retry: %w", name, err)
	case q.Error != "":
		return *q.Answer, errors.New(q.Error)
	}
	return *q.Answer, nil
}

// answered waits for the answer to a request.
func (c *Control) answered(ctx context.Context, name, vn string, q *request) error {
	for beat, heard := 0, time.Now(); q.Answer == nil; {
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("nobody who runs it has answered: %w", ctx.Err())
		}
		err := c.k.Keep(ctx, func(ctx context.Context, b Book) error {
			reg, err := load[registration](ctx, b.Load, registrationKey(name))
			if err != nil {
				return err
			}
			seen, err := load[request](ctx, b.Load, requestKey(name, vn, q.ID))
			switch {
			case err != nil:
				return err
			case reg == nil || reg.Versions[vn] == nil || seen == nil:
				return fmt.Errorf("version %s was dropped meanwhile: %w", vn, annals.ErrNotFound)
			case reg.Versions[vn].State == Retired && !seen.Taken:
				return fmt.Errorf("version %s is retired: nothing runs it", vn)
			}
			*q = *seen
			return nil
		})
		if err != nil {
			return err
		}
		if q.Beat != beat {
			beat, heard = q.Beat, time.Now()
		}
		if q.Taken && q.Answer == nil && time.Since(heard) > silence {
			return fmt.Errorf("who runs it has begun, and was not heard of for %s: it has probably ended; what it has done is done", silence)
		}
	}
	return nil
}
