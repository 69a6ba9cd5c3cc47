package history

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// History is the history of one stream, seen through a fold.
//
// It may be used by any number of goroutines, and remembers states on the way
// ([History.Prepare]), so it pays to use one for several questions.
type History struct {
	log    driver.Log
	stream string
	fold   Fold
	until  Point
	kept   *kept
}

// Of returns the history of a stream of a log, with the states that f gives.
func Of(log driver.Log, stream string, f Fold) *History {
	return &History{log: log, stream: stream, fold: f, kept: &kept{}}
}

// Until returns the history as it was at a point: up to a version, or as of a
// position or time of the log.
func (h *History) Until(p Point) *History {
	past := *h
	past.until = p
	return &past
}

// Stream returns the name of the stream.
func (h *History) Stream() string { return h.stream }

// Point is a version of a history, given in one of several ways: by [Version],
// [Position], [Time] or, its zero value, the last one.
type Point struct {
	version  uint64
	position annals.Position
	time     time.Time
	zero     bool
}

// Version is the point right after the event of a version; 0 is the state
// before the first.
func Version(v uint64) Point { return Point{version: v, zero: v == 0} }

// Position is the point at which the log's head was p.
func Position(p annals.Position) Point { return Point{position: p, zero: p == 0} }

// Time is the point at which the log's clock showed t.
func Time(t time.Time) Point { return Point{time: t} }

// resolve returns the version that p stands for; one that does not exist is a
// *driver.PositionError.
func (h *History) resolve(ctx context.Context, p Point) (uint64, error) {
	v, err := h.find(ctx, p)
	if err != nil || h.until == (Point{}) {
		return v, err
	}
	last, err := h.find(ctx, h.until)
	if err == nil && p.version > last {
		err = &driver.PositionError{What: fmt.Sprintf("version %d of %q (its last by then is %d)", p.version, h.stream, last)}
	}
	return min(v, last), err
}

// find is resolve in the whole history.
func (h *History) find(ctx context.Context, p Point) (uint64, error) {
	if p.zero {
		return 0, nil
	}
	info, err := h.log.Info(ctx)
	if err != nil {
		return 0, err
	}
	upTo := info.Head
	switch {
	case p.position > info.Head:
		return 0, &driver.PositionError{What: fmt.Sprintf("position %d", p.position), Head: info.Head}
	case p.position != 0:
		upTo = p.position
	case !p.time.IsZero():
		if upTo, err = driver.PositionAt(ctx, h.log, p.time); err != nil {
			return 0, err
		}
	}
	if upTo == 0 {
		return 0, h.exists(p, 0, info.Head)
	}
	for r, err := range h.log.Read(ctx, h.query(), driver.ReadOptions{UpTo: upTo, Backward: true, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		if p.version != 0 {
			return p.version, h.exists(p, r.Version, info.Head)
		}
		return r.Version, nil
	}
	return 0, h.exists(p, 0, info.Head)
}

// exists is what is wrong with a version that is asked for, where last is the last one.
func (h *History) exists(p Point, last uint64, head annals.Position) error {
	if p.version > last {
		return &driver.PositionError{What: fmt.Sprintf("version %d of %q (its last is %d)", p.version, h.stream, last), Head: head}
	}
	return nil
}

// lastAt returns the version at a point; none is an error that wraps annals.ErrNotFound.
func (h *History) lastAt(ctx context.Context, p Point) (uint64, error) {
	v, err := h.resolve(ctx, p)
	if err == nil && v == 0 {
		by := ""
		if p != (Point{}) || h.until != (Point{}) {
			by = " by then"
		}
		err = fmt.Errorf("%w: stream %q has no event%s", annals.ErrNotFound, h.stream, by)
	}
	return v, err
}

// last returns the last version; none is an error that wraps annals.ErrNotFound.
func (h *History) last(ctx context.Context) (uint64, error) { return h.lastAt(ctx, Point{}) }

func (h *History) query() driver.Query {
	return driver.Query{Items: []driver.Item{{Streams: []string{h.stream}}}}
}

// records yields the events of versions from+1 to upTo, after a position that
// is before the first of them.
func (h *History) records(ctx context.Context, after annals.Position, upTo uint64) iter.Seq2[annals.Record, error] {
	return func(yield func(annals.Record, error) bool) {
		if upTo == 0 {
			return
		}
		for r, err := range h.log.Read(ctx, h.query(), driver.ReadOptions{After: after}) {
			if !yield(r, err) || err != nil || r.Version >= upTo {
				return
			}
		}
	}
}

// each folds the events up to version upTo and calls f after each; f returns
// false to stop. The run is closed at the end.
func (h *History) each(ctx context.Context, upTo uint64, p *Predicate, f func(run, annals.Record) bool) error {
	return h.eachFrom(ctx, station{}, upTo, p, f)
}

// eachFrom is each for the events behind a station.
func (h *History) eachFrom(ctx context.Context, at station, upTo uint64, p *Predicate, f func(run, annals.Record) bool) error {
	from, err := at.start(h.fold)
	if err != nil {
		return err
	}
	r, err := h.fold.start(ctx, from, p)
	if err != nil {
		return err
	}
	defer r.close()
	for rec, err := range h.records(ctx, at.Position, upTo) {
		if err != nil {
			return err
		}
		if err := r.apply(&rec); err != nil {
			return err
		}
		if !f(r, rec) {
			return nil
		}
	}
	return r.finish()
}

// State returns the state at a point, as a JSON value, and its version. The
// state at version 0 is that before the first event.
func (h *History) State(ctx context.Context, at Point) (value any, version uint64, err error) {
	if version, err = h.resolve(ctx, at); err != nil {
		return nil, 0, err
	}
	value, err = h.stateAt(ctx, version)
	return value, version, err
}

// stateAt folds from the nearest state that is remembered.
func (h *History) stateAt(ctx context.Context, version uint64) (value any, err error) {
	at := h.nearest(ctx, version)
	if version == at.Version {
		from, err := at.start(h.fold)
		if err != nil {
			return nil, err
		}
		r, err := h.fold.start(ctx, from, nil)
		if err != nil {
			return nil, err
		}
		defer r.close()
		return r.value()
	}
	var inner error
	err = h.eachFrom(ctx, at, version, nil, func(r run, rec annals.Record) bool {
		if rec.Version == version {
			value, inner = r.value()
		}
		return true
	})
	return value, firstError(err, inner)
}

// Entry is an event of a history with what it changed.
type Entry struct {
	Record  annals.Record
	Changes []Change
}

// Log yields the events of the history in order, each with the fields that it
// changed.
func (h *History) Log(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		last, err := h.last(ctx)
		if err == nil {
			err = h.each(ctx, last, nil, func(r run, rec annals.Record) bool {
				return yield(Entry{rec, r.changes()}, nil)
			})
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Diff returns the fields in which the states at two points differ.
func (h *History) Diff(ctx context.Context, a, b Point) ([]Change, error) {
	return DiffOf(ctx, h, a, h, b)
}

// DiffOf returns the fields in which the states of two histories at a point of
// each differ: two entities, or one under two folds.
func DiffOf(ctx context.Context, h *History, a Point, other *History, b Point) ([]Change, error) {
	x, _, err := h.State(ctx, a)
	if err != nil {
		return nil, err
	}
	y, _, err := other.State(ctx, b)
	if err != nil {
		return nil, err
	}
	return Diff(x, y), nil
}
