package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/annals-db/annals"
)

// Compare compares the tables of the version next with those of the live one,
// row by row, with both at one position of the log: where events come in, both
// are held there for as long as it takes. It counts all rows that differ and
// lists up to limit of each table. Both must be running or caught up: where
// neither has moved for half a minute that is an error which says where they are.
func (c *Control) Compare(ctx context.Context, name, next string, limit int) (all []Comparison, err error) {
	err = c.aligned(ctx, name, next, func(ctx context.Context, b Book, reg *registration) error {
		all = nil
		live, v := tablesOf(b, reg.Live, reg.Versions[reg.Live]), reg.Versions[next]
		mine := tablesOf(b, next, v)
		for _, t := range live {
			if !slices.Contains(mine, t) {
				return fmt.Errorf("version %s has no table %s", next, t)
			}
		}
		for _, t := range mine {
			if !slices.Contains(live, t) {
				continue // new, nothing to compare it with
			}
			cmp, err := b.Compare(ctx, physical(t, reg.Live), physical(t, next), limit)
			if err != nil {
				return err
			}
			cmp.Table = t
			all = append(all, cmp)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("projection %s: compare %s with the live version: %w", name, next, err)
	}
	return all, nil
}

// Switch makes the version next the live one, in one transaction, with both at
// one position of the log: readers find its tables where those of the old
// version were. The old version is retired and keeps its tables until it is
// dropped.
func (c *Control) Switch(ctx context.Context, name, next string) error {
	err := c.aligned(ctx, name, next, func(ctx context.Context, b Book, reg *registration) error {
		old := reg.Live
		tables := tablesOf(b, next, reg.Versions[next])
		for _, t := range tablesOf(b, old, reg.Versions[old]) {
			if !slices.Contains(tables, t) {
				if err := b.Show(ctx, t, ""); err != nil {
					return err
				}
			}
		}
		for _, t := range tables {
			if err := b.Show(ctx, t, physical(t, next)); err != nil {
				return err
			}
		}
		reg.Versions[old].State, reg.Versions[old].Hold = Retired, nil
		reg.Versions[next].State, reg.Versions[next].Hold = Live, nil
		reg.Live = next
		if err := save(ctx, b, registrationKey(name), reg); err != nil {
			return err
		}
		return act(ctx, b, name, "switched", action{Version: next, Key: old})
	})
	if err == nil {
		err = tell(ctx, c.log, c.k, name)
	}
	if err != nil {
		return fmt.Errorf("projection %s: switch to %s: %w", name, next, err)
	}
	return nil
}

// Revive lets a retired version catch up again, so that it can be switched back to.
func (c *Control) Revive(ctx context.Context, name, vn string) error {
	return c.change(ctx, "revive", name, vn, func(ctx context.Context, b Book, _ *registration, vn string, v *version) error {
		if v.State != Retired {
			return fmt.Errorf("version %s is %s", vn, v.State)
		}
		v.State = Building
		return act(ctx, b, name, "revived", action{Version: vn})
	})
}

// Drop removes a version that is not live, with its tables.
func (c *Control) Drop(ctx context.Context, name, vn string) error {
	return c.change(ctx, "drop", name, vn, func(ctx context.Context, b Book, reg *registration, vn string, v *version) error {
		if v.State == Live {
			return fmt.Errorf("version %s is live: switch to another one first", vn)
		}
		if _, err := lockCheckpoints(ctx, b, name, vn, v); err != nil {
			return err
		}
		for _, t := range tablesOf(b, vn, v) {
			if err := b.Drop(ctx, physical(t, vn)); err != nil {
				return err
			}
		}
		delete(reg.Versions, vn)
		if err := deleteAll(ctx, b, versionKey(name, vn)); err != nil {
			return err
		}
		return act(ctx, b, name, "dropped", action{Version: vn})
	})
}

// near is how many positions a version may be behind the log for both to be
// held until it has caught up.
const near = 10_000

// holdTime is for how long versions are held if whoever holds them dies.
const holdTime = 15 * time.Second

var errNotAligned = errors.New("the versions are not at one position")

// aligned brings the live version and next to one position, and runs fn in a
// transaction in which both stand still. Where neither moves any more it is an error.
func (c *Control) aligned(ctx context.Context, name, next string, fn func(context.Context, Book, *registration) error) error {
	var at annals.Position
	held := false
	for stood, since := "", time.Now(); ; {
		state := ""
		err := c.k.Keep(ctx, func(ctx context.Context, b Book) error {
			reg, err := load[registration](ctx, b.Lock, registrationKey(name))
			if err != nil {
				return err
			}
			if err := alignable(reg, next); err != nil {
				return err
			}
			low, high, where, err := span(ctx, b, name, reg, next)
			if err != nil {
				return err
			}
			info, err := c.log.Info(ctx)
			if err != nil {
				return err
			}
			if low == high && (low > 0 || info.Head == 0) {
				return fn(ctx, b, reg)
			}
			for _, vn := range []string{reg.Live, next} {
				if reg.Versions[vn].Paused {
					return fmt.Errorf("%w, and version %s is paused: resume it", errNotAligned, vn)
				}
			}
			state = where
			if info.Head-low > near { // not yet
				return nil
			}
			if at = max(at, high); !held {
				at = max(high, info.Head)
			}
			held = true
			for _, v := range []*version{reg.Versions[reg.Live], reg.Versions[next]} {
				v.Hold = &hold{At: at, Until: now().Add(holdTime)}
			}
			return save(ctx, b, registrationKey(name), reg)
		})
		if err != nil || state == "" {
			return errors.Join(err, c.release(ctx, name, held))
		}
		if state != stood {
			stood, since = state, time.Now()
		}
		if time.Since(since) > silence {
			err := fmt.Errorf("%w, and have not moved for %s (%s): does anything run both?", errNotAligned, silence, state)
			return errors.Join(err, c.release(ctx, name, held))
		}
		pause(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%s; do both versions run?): %w", errNotAligned, state, errors.Join(ctx.Err(), c.release(ctx, name, held)))
		}
	}
}

func alignable(reg *registration, next string) error {
	switch {
	case reg == nil:
		return annals.ErrNotFound
	case reg.Versions[next] == nil:
		return fmt.Errorf("version %s: %w", next, annals.ErrNotFound)
	case next == reg.Live:
		return fmt.Errorf("version %s is the live one", next)
	case reg.Versions[next].State == Retired:
		return fmt.Errorf("version %s is retired: revive it first, so that it catches up", next)
	}
	return nil
}

// span locks the checkpoints of both versions and returns the lowest and the
// highest position among them, and says where each version is.
func span(ctx context.Context, b Book, name string, reg *registration, next string) (low, high annals.Position, where string, err error) {
	var all []string
	for _, vn := range []string{reg.Live, next} {
		cps, err := lockCheckpoints(ctx, b, name, vn, reg.Versions[vn])
		if err != nil {
			return 0, 0, "", err
		}
		for _, cp := range cps {
			is := fmt.Sprintf("%s is at position %d", vn, cp.Position)
			if f := cp.Failure; f != nil {
				is += fmt.Sprintf(" and fails at %d: %s", f.Position, f.Error)
			}
			if len(all) == 0 || cp.Position < low {
				low = cp.Position
			}
			high, all = max(high, cp.Position), append(all, is)
		}
	}
	return low, high, strings.Join(all, ", "), nil
}

// release lets held versions go on.
func (c *Control) release(ctx context.Context, name string, held bool) error {
	if !held {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return c.k.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Lock, registrationKey(name))
		if err != nil || reg == nil {
			return err
		}
		for _, v := range reg.Versions {
			v.Hold = nil
		}
		return save(ctx, b, registrationKey(name), reg)
	})
}
