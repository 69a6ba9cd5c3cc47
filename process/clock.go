package process

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals"
)

// clock fires the timers of an application. What is pending is folded from the
// log; whether a timer fires is decided in the transaction that fires it.
type clock struct {
	app     *App
	opts    *Options
	scanned annals.Position
	pending map[string]due // by key
	nudge   chan struct{}  // timers may have been set
}

// due is a timer that has not fired, as far as has been read.
type due struct {
	key string
	at  time.Time
	set annals.Record
}

func newClock(app *App, opts *Options) *clock {
	return &clock{app: app, opts: opts, pending: map[string]due{}, nudge: make(chan struct{}, 1)}
}

// nudged tells that timers may have been set.
func (c *clock) nudged() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// catchUp reads which timers have been set, fired and cancelled since the last time.
func (c *clock) catchUp(ctx context.Context) error {
	db := c.app.db
	info, err := db.Log().Info(ctx)
	if err != nil || info.Head <= c.scanned {
		return err
	}
	q := annals.Match(annals.QueryItem{
		Types: []string{"process.TimerSet", "process.TimerFired", "process.TimerCancelled"}, Tags: []string{timerTag(c.app.name)},
	})
	for r, err := range db.Log().Read(ctx, q, annals.ReadOptions{After: c.scanned, UpTo: info.Head}) {
		if err != nil {
			return err
		}
		events, err := db.Decode(r)
		if err != nil {
			return err
		}
		switch e := events[0].(type) {
		case timerSet:
			c.pending[e.Key] = due{e.Key, e.At, r}
		case timerFired:
			delete(c.pending, e.Key)
		case timerCancelled:
			delete(c.pending, e.Key)
		}
	}
	c.scanned = info.Head
	return nil
}

// first returns the timer that is due first.
func (c *clock) first() (first due, found bool) {
	for _, d := range c.pending {
		if !found || cmp.Or(d.at.Compare(first.at), cmp.Compare(d.key, first.key)) < 0 {
			first, found = d, true
		}
	}
	return first, found
}

// step fires the first timer that is due; did is false if none is.
func (c *clock) step(ctx context.Context) (did bool, err error) {
	if err := c.catchUp(ctx); err != nil {
		return false, fmt.Errorf("timers of %q: %w", c.app.name, err)
	}
	d, found := c.first()
	if !found || d.at.After(c.app.db.Now()) {
		return false, nil
	}
	for n := 1; ; n++ {
		err := c.fire(ctx, d, nil)
		if err == nil || passing(err) || ctx.Err() != nil {
			return true, err
		}
		c.opts.Logger.Warn("a timer's reaction failed", "app", c.app.name, "timer", d.key, "attempt", n, "error", err)
		switch {
		case n < c.opts.Attempts:
			if !pause(ctx, c.opts.Backoff(n)) {
				return true, ctx.Err()
			}
		case c.opts.Park:
			return true, c.fire(ctx, d, err)
		default:
			return true, fmt.Errorf("process %q: timer %q: %w", c.app.name, d.key, err)
		}
	}
}

// fire appends what was to happen, and the application's reaction to it, or
// that the reaction failed. A timer that has fired, or that was cancelled or
// set anew, or that is not due by the transaction's time, is left alone.
func (c *clock) fire(ctx context.Context, d due, failed error) error {
	app := c.app
	_, err := app.db.Update(annals.WithCause(ctx, d.set), func(tx *annals.Tx) error {
		t, err := timerModel.Load(tx, app.name+"/"+d.key)
		if err != nil {
			return err
		}
		if !t.Pending || t.Set != d.set.ID || t.At.After(tx.Now()) {
			return nil
		}
		events, err := t.events(app.db)
		if err != nil && failed == nil {
			return err
		}
		if err := t.Record(timerFired{app.name, d.key}, annals.WithTags(timerTag(app.name))); err != nil {
			return err
		}
		for _, e := range events {
			if err := tx.Append(e, annals.WithTags(timerTag(app.name))); err != nil {
				return err
			}
		}
		if failed != nil {
			return tx.Append(Parked{App: app.name, From: app.name, Position: d.set.Position, Event: d.set.ID.String(), Type: t.Type, Error: failed.Error()})
		}
		return app.react(&Reaction{Tx: tx, Event: d.set, From: app.name, app: app}, events)
	}, annals.Derived("timer", app.name, d.key, d.set.ID.String()))
	return err
}

// run fires timers as they become due, for ever, over what passes. The clock is
// looked at again and again, since it may jump.
func (c *clock) run(ctx context.Context) error {
	for {
		did, err := c.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !passing(err):
			return err
		case err != nil:
			c.opts.Logger.Warn("firing timers is tried again", "app", c.app.name, "error", err)
		case did:
			continue
		}
		wait := c.opts.Interval
		if d, found := c.first(); found && err == nil {
			wait = max(min(wait, d.at.Sub(c.app.db.Now())), time.Millisecond)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.nudge:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// Timer is a timer that has been set and has not fired.
type Timer struct {
	Key  string
	At   time.Time // when it is due
	Type string    // of the event that is to happen
}

// Timers returns the timers of an application that have not fired, in the order
// they are due.
func (a *App) Timers(ctx context.Context) ([]Timer, error) {
	c := newClock(a, nil)
	if err := c.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("timers of %q: %w", a.name, err)
	}
	var all []Timer
	for _, d := range c.pending {
		events, err := a.db.Decode(d.set)
		if err != nil {
			return nil, fmt.Errorf("timers of %q: %w", a.name, err)
		}
		all = append(all, Timer{d.key, d.at, events[0].(timerSet).Type})
	}
	slices.SortFunc(all, func(x, y Timer) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Key, y.Key)) })
	return all, nil
}

// pause waits for d; it returns false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
