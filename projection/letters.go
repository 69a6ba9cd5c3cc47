package projection

import (
	"context"
	"encoding/json"
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
// key, as by [Runner.Retry], and waits for its answer.
func (c *Control) Retry(ctx context.Context, name, vn, key string, dry bool) (Retried, error) {
	q := request{ID: annals.NewID().String(), Key: key, Dry: dry}
	var at string
	err := c.change(ctx, "retry", name, vn, func(ctx context.Context, b Book, _ *registration, vn string, _ *version) error {
		at = requestKey(name, vn, q.ID)
		return save(ctx, b, at, q)
	})
	for err == nil && q.Answer == nil {
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			err = fmt.Errorf("nobody who runs it has answered: %w", ctx.Err())
			break
		}
		err = c.k.Keep(ctx, func(ctx context.Context, b Book) error {
			value, err := b.Load(ctx, at)
			if err != nil || value == nil {
				return err
			}
			return json.Unmarshal(value, &q)
		})
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
