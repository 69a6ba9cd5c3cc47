package group

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// deal has the handler deal with r, or parks it. An error says that neither was done.
func (p *part) deal(ctx context.Context, r annals.Record, key string) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if !p.w.g.opts.PassParked && p.parked[key] > 0 {
		return p.park(ctx, parkedOf(&r, key, 0, nil))
	}
	n, err := p.try(ctx, r)
	if n < 0 || err == nil {
		return err
	}
	return p.park(ctx, parkedOf(&r, key, n, err))
}

// try calls the handler until it succeeds or has failed too often. n is how
// often it was called, negative where err says that it is not to go on.
func (p *part) try(ctx context.Context, r annals.Record) (n int, err error) {
	o := &p.w.g.opts
	for n = 1; ; n++ {
		if p.stopped() {
			return -1, p.going.Err()
		}
		if err = p.w.handler(ctx, r); err == nil {
			return n, nil
		}
		if ctx.Err() != nil {
			return -1, ctx.Err() // it may have failed for that
		}
		o.Logger.Warn("an event failed", "group", p.w.g.name, "position", r.Position, "attempt", n, "error", err)
		if n >= o.Attempts {
			return n, err
		}
		if stop := p.pause(o.Backoff(n)); stop != nil {
			return -1, stop
		}
	}
}

func parkedOf(r *annals.Record, key string, attempts int, err error) Parked {
	e := Parked{
		Position: r.Position, ID: r.ID, Stream: r.Stream, Type: r.Type, Key: key,
		Attempts: attempts, At: time.Now().UTC(), Waiting: err == nil,
	}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}

// park puts e on the shelf; while that is full it waits.
func (p *part) park(ctx context.Context, e Parked) error {
	for {
		full := false
		err := p.shelf(ctx, func(s *shelf) bool {
			i, found := slices.BinarySearchFunc(s.Parked, e.Position, byPosition)
			full = !found && len(s.Parked) >= p.w.g.opts.MaxParked
			if !found && !full {
				s.Parked = slices.Insert(s.Parked, i, e)
			}
			return !found && !full
		})
		if err == nil && !full {
			p.parked[e.Key]++
			return nil
		}
		if err != nil && !passing(err) {
			return err
		}
		p.w.g.opts.Logger.Warn("an event could not be parked; the partition stands still", "group", p.w.g.name,
			"partition", p.n, "position", e.Position, "full", full, "error", err)
		<-p.turn // so that what is parked can be delivered again
		stop := p.pause(p.w.g.opts.Lease / 10)
		p.turn <- struct{}{}
		if stop != nil {
			return stop
		}
	}
}

func byPosition(e Parked, p annals.Position) int { return int(int64(e.Position) - int64(p)) }

// shelf changes what is parked in the partition, unless a later holder of the
// lease has been there.
func (p *part) shelf(ctx context.Context, fn func(*shelf) bool) error {
	return change(ctx, p.w.state, parkedKey(p.w.g.name, p.n), func(s *shelf) (bool, error) {
		if s.Token > p.lease.Token() {
			return false, lease.ErrLost
		}
		changed := fn(s)
		s.Token = p.lease.Token()
		return changed, nil
	})
}

// replay delivers again what was parked and is to be, until the partition is stopped.
func (p *part) replay(ctx context.Context) {
	for p.pause(max(p.w.g.opts.Lease/10, time.Millisecond)) == nil {
		p.turn <- struct{}{}
		n := len(p.parked)
		<-p.turn
		for n > 0 {
			again, err := p.replayNext(ctx)
			if err != nil && !p.stopped() {
				p.w.g.opts.Logger.Warn("what is parked cannot be delivered again", "group", p.w.g.name, "partition", p.n, "error", err)
			}
			if !again || err != nil {
				break
			}
		}
	}
}

// replayNext delivers the first parked event that is to be delivered again.
func (p *part) replayNext(ctx context.Context) (again bool, err error) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	var s shelf
	if _, err := load(ctx, p.w.state, parkedKey(p.w.g.name, p.n), &s); err != nil {
		return false, err
	}
	clear(p.parked) // some may have been dropped
	next := -1
	for i, e := range s.Parked {
		if next < 0 && (e.Replay || e.Waiting) && (p.w.g.opts.PassParked || p.parked[e.Key] == 0) {
			next = i
		}
		p.parked[e.Key]++
	}
	if next < 0 {
		return false, nil
	}
	e := s.Parked[next]
	r, err := p.record(ctx, &e)
	if err != nil {
		return false, err
	}
	n, failed := p.try(ctx, r)
	if n < 0 {
		return false, failed
	}
	gone := false
	err = p.shelf(ctx, func(s *shelf) bool {
		i, found := slices.BinarySearchFunc(s.Parked, e.Position, byPosition)
		switch {
		case !found:
			return false
		case failed == nil:
			s.Parked, gone = slices.Delete(s.Parked, i, i+1), true
		default:
			again := parkedOf(&r, e.Key, e.Attempts+n, failed)
			s.Parked[i] = again
		}
		return true
	})
	if err == nil && gone {
		if p.parked[e.Key]--; p.parked[e.Key] == 0 {
			delete(p.parked, e.Key)
		}
	}
	return true, err
}

// record reads a parked event again.
func (p *part) record(ctx context.Context, e *Parked) (annals.Record, error) {
	for r, err := range p.w.g.db.Log().Read(ctx, annals.Query{}, annals.ReadOptions{After: e.Position - 1, UpTo: e.Position}) {
		if err == nil && r.ID != e.ID {
			err = fmt.Errorf("position %d has event %s, and %s was parked", e.Position, r.ID, e.ID)
		}
		return r, err
	}
	return annals.Record{}, &driver.PositionError{What: fmt.Sprintf("position %d", e.Position)}
}

// Replay has parked events of a group of log delivered again: those at the
// positions given, all without any. The worker that has their partition does so
// shortly; where later events of the key wait, they follow by themselves. A
// position that is not parked is an error that wraps [annals.ErrNotFound].
func Replay(ctx context.Context, log driver.Log, name string, positions ...annals.Position) error {
	return editParked(ctx, log, name, positions, func(s *shelf, i int) { s.Parked[i].Replay = true })
}

// Drop forgets parked events of a group, as Replay chooses them. Later events
// of the key that wait behind are then delivered.
func Drop(ctx context.Context, log driver.Log, name string, positions ...annals.Position) error {
	return editParked(ctx, log, name, positions, func(s *shelf, i int) { s.Parked = slices.Delete(s.Parked, i, i+1) })
}

func editParked(ctx context.Context, log driver.Log, name string, positions []annals.Position, edit func(s *shelf, i int)) error {
	k, err := find(ctx, log, name)
	if err != nil {
		return err
	}
	s, _ := log.(driver.Stater)
	if s == nil || s.State() == nil {
		return fmt.Errorf("group %q: %w", name, errState(log))
	}
	missing := slices.Clone(positions)
	for n := range k.Partitions {
		var found []annals.Position
		err := change(ctx, s.State(), parkedKey(name, n), func(s *shelf) (bool, error) {
			found = found[:0]
			for i := len(s.Parked) - 1; i >= 0; i-- {
				if p := s.Parked[i].Position; len(positions) == 0 || slices.Contains(positions, p) {
					found = append(found, p)
					edit(s, i)
				}
			}
			return len(found) > 0, nil
		})
		if err != nil {
			return fmt.Errorf("group %q: %w", name, err)
		}
		missing = slices.DeleteFunc(missing, func(p annals.Position) bool { return slices.Contains(found, p) })
	}
	if len(missing) > 0 {
		return fmt.Errorf("group %q: parked at position %d: %w", name, missing[0], annals.ErrNotFound)
	}
	return nil
}
