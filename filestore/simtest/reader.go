package simtest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// read reads everything that q and o ask for, checks that it is in order and
// within bounds, and takes note of what it saw.
func (w *world) read(log driver.Log, who string, q driver.Query, o driver.ReadOptions) ([]driver.Record, error) {
	w.count(Stats{Reads: 1})
	var out []driver.Record
	last := driver.Position(0)
	for r, err := range log.Read(w.ctx, q, o) {
		if err != nil {
			return out, err
		}
		switch {
		case o.Limit > 0 && len(out) >= o.Limit:
			return out, fmt.Errorf("more than %d records", o.Limit)
		case r.Position <= o.After || o.UpTo > 0 && r.Position > o.UpTo:
			return out, fmt.Errorf("position %d is outside %+v", r.Position, o)
		case last > 0 && (r.Position <= last) != o.Backward:
			return out, fmt.Errorf("position %d comes after %d", r.Position, last)
		case !q.Matches(&r.Event):
			return out, fmt.Errorf("position %d does not match %s", r.Position, q)
		case q.All() && last > 0 && r.Position != last+1 && r.Position != last-1:
			return out, fmt.Errorf("position %d follows on %d: a gap", r.Position, last)
		case q.All() && last == 0 && !o.Backward && r.Position != o.After+1:
			return out, fmt.Errorf("position %d is the first after %d: a gap", r.Position, o.After)
		}
		if err := w.history.saw(&r, who); err != nil {
			w.fail("%w", err)
			return out, err
		}
		last = r.Position
		out = append(out, r)
		if len(out) > 1_000_000 {
			return out, errors.New("it does not end")
		}
	}
	return out, nil
}

// readFailed decides whether a read may have failed so.
func (w *world) readFailed(what string, err error) {
	switch {
	case w.dead.Load() || w.ctx.Err() != nil:
	case w.stop.Load() && errors.Is(err, driver.ErrClosed):
	case w.reading.Load() && errors.Is(err, simfs.ErrIO):
	default:
		w.fail("reading %s: %w", what, err)
	}
}

// reader reads by queries and compares with what reading everything gives.
func (w *world) reader(n, quota int) {
	who := fmt.Sprintf("reader %d", n)
	r := rand.New(rand.NewPCG(w.seed, uint64(w.n*100+50+n)))
	g := &generator{r: r, world: w}
	for range quota {
		w.turns.wait(who)
		if w.stop.Load() || w.dead.Load() {
			return
		}
		w.compare(who, w.log, g)
	}
}

// compare reads by a query what reading everything gives too.
func (w *world) compare(who string, log driver.Log, g *generator) {
	info, err := log.Info(w.ctx)
	if err != nil || info.Head == 0 {
		if err != nil {
			w.readFailed("the head", err)
		}
		return
	}
	all, err := w.read(log, who, driver.Query{}, driver.ReadOptions{UpTo: info.Head})
	if err != nil {
		w.readFailed("everything", err)
		return
	}
	if len(all) != int(info.Head) {
		w.fail("%s read %d records up to head %d", who, len(all), info.Head)
		return
	}
	q, o := g.query(), driver.ReadOptions{UpTo: 1 + driver.Position(g.r.Uint64N(uint64(info.Head))), Backward: chance(g.r, 40)}
	if chance(g.r, 50) {
		o.After = driver.Position(g.r.Uint64N(uint64(info.Head)))
	}
	if chance(g.r, 30) {
		o.Limit = 1 + g.r.IntN(5)
	}
	got, err := w.read(log, who, q, o)
	if err != nil {
		w.readFailed(q.String(), err)
		return
	}
	want := wanted(all, q, o)
	if len(got) != len(want) {
		w.fail("%s: %s %+v gives %d records %v, want %d %v", who, q, o, len(got), positions(got), len(want), positions(want))
		return
	}
	for i := range got {
		if got[i].Position != want[i].Position {
			w.fail("%s: %s %+v gives position %d, want %d", who, q, o, got[i].Position, want[i].Position)
			return
		}
	}
	w.located(log, all, g)
}

// wanted is what q and o select of the whole log.
func wanted(all []driver.Record, q driver.Query, o driver.ReadOptions) []driver.Record {
	var out []driver.Record
	for i := range all {
		r := all[i]
		if o.Backward {
			r = all[len(all)-1-i]
		}
		if r.Position > o.After && r.Position <= o.UpTo && q.Matches(&r.Event) && (o.Limit == 0 || len(out) < o.Limit) {
			out = append(out, r)
		}
	}
	return out
}

func positions(rs []driver.Record) []driver.Position {
	var out []driver.Position
	for i := range rs {
		out = append(out, rs[i].Position)
	}
	return out
}

// located compares the position at a time with the log.
func (w *world) located(log driver.Log, all []driver.Record, g *generator) {
	l, ok := log.(driver.Locator)
	if !ok {
		return
	}
	at := one(g.r, all).Time
	got, err := l.PositionAt(w.ctx, at)
	if err != nil {
		w.readFailed("the position at a time", err)
		return
	}
	var want driver.Position
	for i := range all {
		if !all[i].Time.After(at) {
			want = all[i].Position
		}
	}
	if got < want || got > want && int(got) <= len(all) {
		w.fail("PositionAt(%d) is %d, want %d", nano(at), got, want)
	}
}
