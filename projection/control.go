package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Control acts on the projections that were registered at a target, from any
// process and without their handlers. Make one with [NewControl]. What it does
// to a projection is also an event in the log; see [Category].
type Control struct {
	log driver.Log
	k   Keeper
}

// NewControl returns the control of the projections of log that are kept at a target.
func NewControl(log driver.Log, k Keeper) *Control { return &Control{log, k} }

// Status is how a version of a projection stands.
type Status struct {
	Projection string          `json:"projection"`
	Version    string          `json:"version"`
	State      State           `json:"state"`
	Paused     bool            `json:"paused"`
	Inline     bool            `json:"inline,omitempty"`
	Partitions int             `json:"partitions"`
	Position   annals.Position `json:"position"` // everything up to it is done
	Head       annals.Position `json:"head"`     // of the log
	Behind     uint64          `json:"behind"`   // positions, Head less Position
	// Refused is why a runner refuses the log with a [*CheckpointError]: it is
	// not the one that the read model was made of. The log's tree head, which a
	// runner compares too, is not looked at.
	Refused string `json:"refused,omitempty"`
	// Lag is how long the first record behind Position has been in the log.
	Lag      time.Duration `json:"lag_ns"`
	Letters  int           `json:"letters"` // dead letters
	Failures []Failure     `json:"failures,omitempty"`
	Updated  time.Time     `json:"updated"` // when a checkpoint was last written
	Tables   []string      `json:"tables,omitempty"`
}

// List returns the status of every version of every projection, in order of name and version.
func (c *Control) List(ctx context.Context) ([]Status, error) {
	return c.status(ctx, func(string) bool { return true })
}

// Status returns the status of every version of one projection, the live one first.
func (c *Control) Status(ctx context.Context, name string) ([]Status, error) {
	all, err := c.status(ctx, func(n string) bool { return n == name })
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("projection %s: %w", name, annals.ErrNotFound)
	}
	slices.SortStableFunc(all, func(a, b Status) int {
		if (a.State == Live) == (b.State == Live) {
			return 0
		} else if a.State == Live {
			return -1
		}
		return 1
	})
	return all, err
}

func (c *Control) status(ctx context.Context, of func(string) bool) (all []Status, err error) {
	info, err := c.log.Info(ctx)
	if err != nil {
		return nil, err
	}
	var cps [][]checkpoint // of each of all
	err = c.k.Keep(ctx, func(ctx context.Context, b Book) error {
		all, cps = nil, nil
		regs, err := registrations(ctx, b)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(regs)) {
			if !of(name) {
				continue
			}
			for _, vn := range slices.Sorted(maps.Keys(regs[name].Versions)) {
				s, at, err := statusOf(ctx, b, name, vn, regs[name].Versions[vn])
				if err != nil {
					return err
				}
				all, cps = append(all, s), append(cps, at)
			}
		}
		return nil
	})
	for i := range all {
		if err := c.lag(ctx, &all[i], info.Head); err != nil {
			return nil, err
		}
		if err := c.refused(ctx, &all[i], cps[i]); err != nil {
			return nil, err
		}
	}
	return all, err
}

// refused compares the log with the checkpoints of a version.
func (c *Control) refused(ctx context.Context, s *Status, cps []checkpoint) error {
	r := &Runner{name: s.Projection, version: s.Version, log: c.log}
	for i := range cps {
		err := r.check(ctx, &cps[i], false)
		if refused, ok := errors.AsType[*CheckpointError](err); ok {
			s.Refused = refused.Reason
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func statusOf(ctx context.Context, b Book, name, vn string, v *version) (Status, []checkpoint, error) {
	s := Status{Projection: name, Version: vn, State: v.State, Paused: v.Paused, Inline: v.Inline, Partitions: v.Partitions}
	for _, t := range v.Tables {
		s.Tables = append(s.Tables, t.Name)
	}
	cps, err := list[checkpoint](ctx, b, versionKey(name, vn)+"at/")
	for i, cp := range cps {
		if i == 0 || cp.Position < s.Position {
			s.Position = cp.Position
		}
		s.Letters += cp.Parked
		if cp.Failure != nil {
			s.Failures = append(s.Failures, *cp.Failure)
		}
		if cp.Updated.After(s.Updated) {
			s.Updated = cp.Updated
		}
	}
	return s, cps, err
}

func (c *Control) lag(ctx context.Context, s *Status, head annals.Position) error {
	s.Head = head
	if s.Position >= head {
		return nil
	}
	s.Behind = uint64(head - s.Position)
	for rec, err := range c.log.Read(ctx, annals.Query{}, driver.ReadOptions{After: s.Position, UpTo: s.Position + 1}) {
		if err != nil {
			return err
		}
		s.Lag = max(0, time.Since(rec.Time))
	}
	return nil
}

// change locks a projection's registration, lets fn change it, and keeps it. An
// empty version is the live one.
func (c *Control) change(ctx context.Context, what, name, vn string, fn func(ctx context.Context, b Book, reg *registration, vn string, v *version) error) error {
	err := c.k.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Lock, registrationKey(name))
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
		v := reg.Versions[vn]
		if v == nil {
			return fmt.Errorf("version %s: %w", vn, annals.ErrNotFound)
		}
		if err := fn(ctx, b, reg, vn, v); err != nil {
			return err
		}
		return save(ctx, b, registrationKey(name), reg)
	})
	if err == nil {
		err = tell(ctx, c.log, c.k, name)
	}
	if err != nil {
		return fmt.Errorf("projection %s: %s: %w", name, what, err)
	}
	return nil
}

// Pause keeps a version from handling events until it is resumed. A transaction
// under way ends first. An empty version is the live one.
func (c *Control) Pause(ctx context.Context, name, version string) error {
	return c.paused(ctx, "pause", name, version, true)
}

// Resume lets a paused version go on.
func (c *Control) Resume(ctx context.Context, name, version string) error {
	return c.paused(ctx, "resume", name, version, false)
}

func (c *Control) paused(ctx context.Context, what, name, vn string, paused bool) error {
	return c.change(ctx, what, name, vn, func(ctx context.Context, b Book, _ *registration, vn string, v *version) error {
		if v.Paused == paused {
			return nil
		}
		if v.Inline && paused {
			return fmt.Errorf("it is inline, part of every append: it cannot be paused")
		}
		v.Paused = paused
		// With the checkpoints locked once, no transaction that has seen it otherwise is under way.
		if _, err := lockCheckpoints(ctx, b, name, vn, v); err != nil {
			return err
		}
		return act(ctx, b, name, what+"d", action{Version: vn})
	})
}

func lockCheckpoints(ctx context.Context, b Book, name, vn string, v *version) ([]checkpoint, error) {
	var all []checkpoint
	for n := range v.Partitions {
		cp, err := load[checkpoint](ctx, b.Lock, checkpointKey(name, vn, n))
		if err != nil {
			return nil, err
		}
		if cp != nil {
			all = append(all, *cp)
		}
	}
	return all, nil
}

// Reset empties a version's tables and puts it back before the first event; its
// dead letters are gone. Running runners begin again by themselves. A
// projection that has declared no tables cannot be reset.
func (c *Control) Reset(ctx context.Context, name, vn string) error {
	info, err := c.log.Info(ctx)
	if err != nil {
		return fmt.Errorf("projection %s: reset: %w", name, err)
	}
	return c.change(ctx, "reset", name, vn, func(ctx context.Context, b Book, _ *registration, vn string, v *version) error {
		if v.Inline {
			return fmt.Errorf("it is inline, and appends would be refused until it has caught up: open another version and switch to it")
		}
		if _, err := lockCheckpoints(ctx, b, name, vn, v); err != nil {
			return err
		}
		tables := tablesOf(b, vn, v)
		if len(tables) == 0 {
			return fmt.Errorf("version %s has declared no tables that could be emptied", vn)
		}
		for _, t := range tables {
			if err := b.Clear(ctx, physical(t, vn)); err != nil {
				return err
			}
		}
		for _, kind := range []string{"dead/", "parked/"} {
			if err := deleteAll(ctx, b, versionKey(name, vn)+kind); err != nil {
				return err
			}
		}
		for n := range v.Partitions {
			if err := save(ctx, b, checkpointKey(name, vn, n), checkpoint{Log: info.LogID, Updated: now()}); err != nil {
				return err
			}
		}
		v.Epoch++
		return act(ctx, b, name, "reset", action{Version: vn})
	})
}

// tablesOf returns the names of a version's tables.
func tablesOf(b Book, vn string, v *version) []string {
	var all []string
	for _, t := range v.Tables {
		all = append(all, t.Name)
	}
	if l, ok := b.(interface{ tablesOf(version string) []string }); ok {
		for _, t := range l.tablesOf(vn) {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

func deleteAll(ctx context.Context, b Book, prefix string) error {
	pairs, err := b.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := b.Delete(ctx, p.Key); err != nil {
			return err
		}
	}
	return nil
}
