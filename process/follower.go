package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// follower is a pipe: an application that reacts to the events of another, or
// to its own.
type follower struct {
	app, from *App
	opts      *Options
	query     annals.Query // of the events that are handled
	effects   annals.Query // of what the follower has appended
	begun     bool
	after     annals.Position // everything up to and with it has been reacted to
	last      hint            // the last event reacted to
	kept      hint            // as last kept
	keptAt    time.Time
	fired     func() // tells that timers may have been set
}

// hint is kept in the state so that less need be read again.
type hint struct {
	Position annals.Position `json:"position"`
	Event    annals.ID       `json:"event"`
}

func newFollower(app, from *App, opts *Options) (*follower, error) {
	q, err := app.query()
	f := &follower{app: app, from: from, opts: opts, query: q, fired: func() {}}
	f.effects = annals.Match(annals.QueryItem{Tags: []string{f.tag()}})
	return f, err
}

// name says who follows whom; it is part of what is kept.
func (f *follower) name() string { return f.app.name + "/" + f.from.name }

func (f *follower) tag() string { return "process:" + f.name() }

func (f *follower) key() string { return "process/" + f.name() }

// ErrOtherLog is wrapped when the log that is followed does not have the events
// that there are effects of.
var ErrOtherLog = errors.New("the log that is followed is another one, or was restored from a backup")

// begin finds where to go on: behind the last event that had an effect, or
// further where the hint says so.
func (f *follower) begin(ctx context.Context) error {
	if f.begun {
		return nil
	}
	for r, err := range f.app.db.Log().Read(ctx, f.effects, annals.ReadOptions{Backward: true, Limit: 1}) {
		if err != nil {
			return err
		}
		cause := annals.Record{}
		if cause.Position, err = inputOf(&r); err != nil {
			return err
		}
		found, ok, err := f.from.at(ctx, cause.Position)
		if err != nil {
			return err
		}
		if id := r.Metadata.Value("causation"); !ok || found.ID.String() != id {
			return fmt.Errorf("the event at position %d is the effect of event %s at position %d of %q, which is not there: %w",
				r.Position, id, cause.Position, f.from.name, ErrOtherLog)
		}
		f.after = cause.Position
	}
	h, err := f.hint(ctx)
	if err != nil {
		return err
	}
	if h.Position > f.after {
		switch found, ok, err := f.from.at(ctx, h.Position); {
		case err != nil:
			return err
		case !ok || found.ID != h.Event:
			return fmt.Errorf("event %s was at position %d of %q and is not there: %w", h.Event, h.Position, f.from.name, ErrOtherLog)
		}
		f.after, f.last, f.kept = h.Position, h, h
	}
	f.begun = true
	return nil
}

// inputOf returns the position of the event that an effect is of.
func inputOf(r *annals.Record) (annals.Position, error) {
	p, err := strconv.ParseUint(r.Metadata.Value("input"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("position %d has the tag of a process and no position of its cause", r.Position)
	}
	return annals.Position(p), nil
}

// react has the application react to rec, unless that has been done.
func (f *follower) react(ctx context.Context, rec annals.Record) error {
	done := rec.Position
	events, err := f.app.db.Decode(rec)
	switch {
	case slices.Contains(rec.Tags, timerTag(f.app.name)): // the reaction was in the transaction that has fired the timer
		err = nil
	case err != nil:
		err = f.park(ctx, rec, err)
	default:
		for n := 1; ; n++ {
			done, err = f.effect(ctx, rec, func(tx *annals.Tx) error {
				return f.app.react(&Reaction{Tx: tx, Event: rec, From: f.from.name, app: f.app}, events)
			})
			if err == nil || passing(err) || ctx.Err() != nil {
				break
			}
			f.opts.Logger.Warn("a reaction failed", "process", f.name(), "position", rec.Position, "attempt", n, "error", err)
			if n >= f.opts.Attempts {
				done, err = rec.Position, f.park(ctx, rec, err)
				break
			}
			if !pause(ctx, f.opts.Backoff(n)) {
				return ctx.Err()
			}
		}
	}
	if err != nil {
		return fmt.Errorf("process %q: %s at position %d of %q: %w", f.app.name, rec.Type, rec.Position, f.from.name, err)
	}
	f.after = max(done, rec.Position)
	f.last = hint{rec.Position, rec.ID}
	f.fired()
	return nil
}

// effect runs fn in a transaction as the effect of rec, if rec is the next to
// have one. done is the last event that has had its turn.
func (f *follower) effect(ctx context.Context, rec annals.Record, fn func(tx *annals.Tx) error) (done annals.Position, err error) {
	ctx = annals.WithCause(annals.WithMetadata(ctx, "input", strconv.FormatUint(uint64(rec.Position), 10)), rec)
	_, err = f.app.db.Update(ctx, func(tx *annals.Tx) error {
		done = rec.Position
		last, found, err := tx.Last(f.effects)
		if err != nil {
			return err
		}
		if found {
			p, err := inputOf(&last)
			if err != nil {
				return err
			}
			if p >= rec.Position { // another worker was faster
				done = p
				return nil
			}
		}
		return fn(tx)
	}, annals.Derived("process", f.name(), rec.ID.String()), annals.Tagged(f.tag()))
	return done, err
}

// park appends that rec has had no effect, or returns why.
func (f *follower) park(ctx context.Context, rec annals.Record, why error) error {
	if !f.opts.Park {
		return why
	}
	_, err := f.effect(ctx, rec, func(tx *annals.Tx) error {
		return tx.Append(Parked{App: f.app.name, From: f.from.name, Position: rec.Position, Event: rec.ID.String(), Type: rec.Type, Error: why.Error()})
	})
	return err
}

// step reacts to the next event that is there; did is false if there is none.
func (f *follower) step(ctx context.Context) (did bool, err error) {
	if err := f.begin(ctx); err != nil {
		return false, fmt.Errorf("process %q following %q: %w", f.app.name, f.from.name, err)
	}
	r, scanned, found, err := f.from.next(ctx, f.query, f.after)
	if err != nil {
		return false, fmt.Errorf("process %q following %q: %w", f.app.name, f.from.name, err)
	}
	if !found {
		f.after = scanned
		return false, nil
	}
	return true, f.react(ctx, r)
}

// run reacts to events for ever, over what passes.
func (f *follower) run(ctx context.Context) error {
	defer f.keep(context.WithoutCancel(ctx))
	for n := 1; ; n++ {
		before := f.after
		err := f.follow(ctx)
		if ctx.Err() != nil || !passing(err) {
			return err
		}
		f.opts.Logger.Warn("following is tried again", "process", f.name(), "error", err)
		if f.after > before {
			n = 1
		}
		if !pause(ctx, f.opts.Backoff(n)) {
			return ctx.Err()
		}
	}
}

func (f *follower) follow(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return fmt.Errorf("process %q following %q: %w", f.app.name, f.from.name, err)
	}
	for n, err := range f.from.live(ctx, f.query, f.after) {
		if err != nil {
			return fmt.Errorf("process %q following %q: %w", f.app.name, f.from.name, err)
		}
		if n.Position > f.after {
			if err := f.react(ctx, n.Record); err != nil {
				return err
			}
		}
		f.after = max(f.after, n.Scanned)
		if time.Since(f.keptAt) > 5*time.Second {
			f.keep(ctx)
		}
	}
	return nil
}

// hint returns what the state says.
func (f *follower) hint(ctx context.Context) (h hint, err error) {
	state := driver.StateOf(f.app.db.Log())
	if state == nil {
		return h, nil
	}
	b, _, err := state.Load(ctx, f.key())
	if errors.Is(err, driver.ErrNotFound) {
		return h, nil
	}
	if err == nil && json.Unmarshal(b, &h) != nil {
		h = hint{} // no more than a hint
	}
	return h, err
}

// keep keeps the hint; where that fails, more is read again the next time.
func (f *follower) keep(ctx context.Context) {
	f.keptAt = time.Now()
	s, ok := f.app.db.Log().(driver.Stater)
	if !ok || s.State() == nil || f.last == f.kept {
		return
	}
	b, err := json.Marshal(f.last)
	if err == nil {
		_, err = s.State().Save(ctx, f.key(), b, driver.AnyRevision)
	}
	if err != nil {
		f.opts.Logger.Warn("how far it has followed is not kept", "process", f.name(), "error", err)
		return
	}
	f.kept = f.last
}
