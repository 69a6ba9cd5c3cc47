package undo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/statediff"
)

// The metadata keys that say what a batch of undo is.
const (
	undoKey       = "undo"        // the batch it undoes
	redoKey       = "redo"        // the batch of the action it brings back
	revertKey     = "revert"      // the version it reverts to
	compensateKey = "compensates" // the batch it compensates
)

// action is what one actor did by one append, and where its effect lies now:
// redoing puts it into a later batch.
type action struct {
	batch  annals.Position // the append it was first done by
	actor  string
	events []effect // of the batch that has its effect: done, undone or redone last
	undone bool
	kind   string   // "", "revert" or "compensates"
	types  []string // of the events of the first append

	compensates *action
	turns       []annals.Position // where it was done, then undone, then redone, and so on
}

// effect is an event and how it is reversed.
type effect struct {
	record  annals.Record // without its data
	events  []any
	inverse []any              // by the declared rules; nil in the general way
	general bool               // reversed by fields
	fields  []statediff.Change // what the event changed; nil where nobody asks
}

// tracker follows one stream and knows its actions. It only ever reads the
// log, so it is a cache; it is for one goroutine.
type tracker[S any] struct {
	undo    *Undo[S]
	stream  string
	state   *S
	version uint64
	scanned annals.Position
	actions []*action // in order of their batches
	byBatch map[annals.Position]*action
	done    map[string][]*action // by actor; the last one is undone next
	undone  map[string][]*action // by actor; the last one is redone next
}

func newTracker[S any](u *Undo[S], stream string) *tracker[S] {
	return &tracker[S]{undo: u, stream: stream, state: u.model.Start(), byBatch: map[annals.Position]*action{},
		done: map[string][]*action{}, undone: map[string][]*action{}}
}

// catchUp follows the stream up to a version.
func (t *tracker[S]) catchUp(ctx context.Context, db *annals.DB, version uint64) error {
	if t.version >= version {
		return nil
	}
	q := annals.Match(annals.QueryItem{Streams: []string{t.stream}})
	for r, err := range db.Log().Read(ctx, q, driver.ReadOptions{After: t.scanned}) {
		if err == nil {
			err = t.follow(db, r)
		}
		if err != nil {
			return err
		}
		t.version, t.scanned = r.Version, r.Position
		if r.Version >= version {
			break
		}
	}
	return nil
}

// follow takes one record in.
func (t *tracker[S]) follow(db *annals.DB, r annals.Record) error {
	events, err := db.Decode(r)
	if err != nil && !errors.Is(err, annals.ErrNotFound) {
		return err
	}
	e := effect{record: r, events: events}
	e.record.Data = nil
	for i := len(events) - 1; i >= 0; i-- { // one, but for an old event that is split
		rule := t.undo.inverses[reflect.TypeOf(events[i])]
		if rule == nil {
			e.general = true
			break
		}
		e.inverse = append(e.inverse, rule(t.state, events[i])...)
	}
	if t.undo.compares || e.general {
		before := t.undo.model.Clone(t.state)
		if err := t.undo.model.Apply(db, t.state, r); err != nil {
			return err
		}
		e.fields = statediff.DiffGo(reflect.ValueOf(before).Elem(), reflect.ValueOf(t.state).Elem())
	} else if err := t.undo.model.Apply(db, t.state, r); err != nil {
		return err
	}
	t.file(e)
	return nil
}

// file puts e with the action that it belongs to.
func (t *tracker[S]) file(e effect) {
	r := &e.record
	if a := t.byBatch[r.Batch]; a != nil {
		a.events = append(a.events, e)
		if r.Batch == a.batch {
			a.types = append(a.types, r.Type)
		}
		return
	}
	for _, key := range []string{undoKey, redoKey} {
		if target, ok := t.target(r, key); ok {
			target.events = []effect{e}
			t.byBatch[r.Batch] = target
			t.switchOff(target, r.Position, key == undoKey)
			return
		}
	}
	a := &action{batch: r.Batch, actor: r.Metadata.Value("actor"), events: []effect{e}, types: []string{r.Type}, turns: []annals.Position{r.Position}}
	for _, kind := range []string{revertKey, compensateKey} {
		if r.Metadata.Value(kind) != "" {
			a.kind = kind
		}
	}
	t.byBatch[a.batch] = a
	t.actions = append(t.actions, a)
	t.done[a.actor] = append(t.done[a.actor], a)
	delete(t.undone, a.actor)
	if target, ok := t.target(r, compensateKey); ok {
		a.compensates = target
		t.setAside(target, r.Position, true)
	}
}

// switchOff undoes a, or brings it back.
func (t *tracker[S]) switchOff(a *action, at annals.Position, off bool) {
	a.undone, a.turns = off, append(a.turns, at)
	from, to := t.undone, t.done
	if off {
		from, to = t.done, t.undone
	}
	from[a.actor] = without(from[a.actor], a)
	to[a.actor] = append(to[a.actor], a)
	if a.compensates != nil {
		t.setAside(a.compensates, at, !off)
	}
}

// setAside takes a compensated action out of its actor's undo, or puts it back
// at its place.
func (t *tracker[S]) setAside(a *action, at annals.Position, aside bool) {
	a.undone, a.turns = aside, append(a.turns, at)
	t.done[a.actor] = without(t.done[a.actor], a)
	if !aside {
		t.done[a.actor] = append(t.done[a.actor], a)
		slices.SortStableFunc(t.done[a.actor], func(x, y *action) int { return cmp.Compare(x.end(), y.end()) })
	}
}

// end is the position where a's effect lies.
func (a *action) end() annals.Position { return a.events[len(a.events)-1].record.Position }

func (t *tracker[S]) target(r *annals.Record, key string) (*action, bool) {
	p, err := strconv.ParseUint(r.Metadata.Value(key), 10, 64)
	if err != nil {
		return nil, false
	}
	a := t.byBatch[annals.Position(p)]
	return a, a != nil
}

func without(actions []*action, a *action) []*action {
	if i := slices.Index(actions, a); i >= 0 {
		return slices.Delete(actions, i, i+1)
	}
	return actions
}

func last(actions []*action) *action {
	if len(actions) == 0 {
		return nil
	}
	return actions[len(actions)-1]
}

// stoodAt reports whether a's effect stood at a position.
func (a *action) stoodAt(p annals.Position) bool {
	n := 0
	for n < len(a.turns) && a.turns[n] <= p {
		n++
	}
	return n%2 == 1
}

// inTheWay returns a change that stands, did not stand when a's effect came
// about, and depends on a; nil if there is none. What was undone since and
// done again is as it was.
func (t *tracker[S]) inTheWay(a *action, operation string) *DependsError {
	if !t.mayDependOn(a) {
		return nil
	}
	for _, other := range t.actions {
		if other == a || other.undone || other.end() <= a.end() || other.stoodAt(a.end()) {
			continue
		}
		for i := range other.events {
			path, depends := t.depends(&other.events[i], a)
			if r := &other.events[i].record; depends {
				return &DependsError{Operation: operation, Stream: t.stream, Action: a.batch, Position: r.Position,
					Version: r.Version, Type: r.Type, Actor: r.Metadata.Value("actor"), Path: path}
			}
		}
	}
	return nil
}

// mayDependOn reports whether there can be anything that depends on a.
func (t *tracker[S]) mayDependOn(a *action) bool {
	for i := range a.events {
		if a.events[i].general {
			return true
		}
		for _, e := range a.events[i].events {
			if t.undo.earlier[reflect.TypeOf(e)] {
				return true
			}
		}
	}
	return false
}

// depends reports whether the later effect depends on one of a's.
func (t *tracker[S]) depends(later *effect, a *action) (path string, depends bool) {
	for i := range a.events {
		earlier := &a.events[i]
		for _, l := range later.events {
			for _, e := range earlier.events {
				for _, conflict := range t.undo.conflicts[pair{reflect.TypeOf(l), reflect.TypeOf(e)}] {
					if conflict(l, e) {
						return "", true
					}
				}
			}
		}
		if !earlier.general {
			continue
		}
		for _, x := range later.fields {
			for _, y := range earlier.fields {
				if x.Path.Within(y.Path) || y.Path.Within(x.Path) {
					return y.Path.String(), true
				}
			}
		}
	}
	return "", false
}

// reversal returns the events that take a's effect back.
func (a *action) reversal() ([]any, error) {
	var out []any
	for i := len(a.events) - 1; i >= 0; i-- {
		e := &a.events[i]
		if !e.general {
			out = append(out, e.inverse...)
			continue
		}
		p, err := patchBack(e.fields)
		if err != nil {
			return nil, fmt.Errorf("version %d (%s): %w", e.record.Version, e.record.Type, err)
		}
		if len(p.Fields) > 0 {
			out = append(out, p)
		}
	}
	if len(out) == 0 { // it changed nothing; that it is undone has to be said all the same
		out = []any{Patched{}}
	}
	return out, nil
}

// patchBack returns the patch from the new to the old values.
func patchBack(changes []statediff.Change) (Patched, error) {
	var p Patched
	for i := len(changes) - 1; i >= 0; i-- { // elements leave a list from its end
		if changes[i].Kind == statediff.Added {
			p.Fields = append(p.Fields, Field{Path: changes[i].Path.String()})
		}
	}
	for _, c := range changes {
		if c.Kind == statediff.Added {
			continue
		}
		value, err := statediff.JSON(c.Old)
		if err != nil {
			return p, fmt.Errorf("field %s: %w", c.Path, err)
		}
		p.Fields = append(p.Fields, Field{Path: c.Path.String(), Value: value})
	}
	return p, nil
}
