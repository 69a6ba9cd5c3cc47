package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/fold"
)

// Fold says how a state comes from records: [Merge], [JQ] or, for a Go model,
// [Model]. It may be used by any number of goroutines.
type Fold interface {
	// start begins a run, from a saved state if from is not nil.
	start(ctx context.Context, from any, p *Predicate) (run, error)
	// restore turns a saved state, as JSON, into what start takes.
	restore(value []byte) (any, error)
	// key names the fold, so that what is kept of one is not taken for another's.
	key() string
}

// run is a fold under way, for one goroutine.
type run interface {
	apply(r *annals.Record) error
	holds() bool         // the predicate, after the last record
	changes() []Change   // since the last call, or since the run began
	changed() []Change   // the same without the values
	state() any          // of now, that later records do not change; nil if it cannot be had
	value() (any, error) // the state as a JSON value
	finish() error       // what is found out only at the end
	close()
}

// Predicate is a question with yes or no about a state: [Holds] for a jq
// program, [When] for a Go function.
type Predicate struct {
	jq   string
	fn   any // func(*S) bool
	text string
}

// Holds is the predicate that a jq program computes from the state; it may
// look at $event. Everything but false and null is yes.
func Holds(jq string) Predicate { return Predicate{jq: jq, text: jq} }

// When is the predicate that a Go function computes from the state of a model.
// fn must not change it.
func When[S any](fn func(*S) bool) Predicate { return Predicate{fn: fn, text: "the predicate"} }

// String returns the program of a predicate in jq.
func (p Predicate) String() string { return p.text }

// Merge returns the fold that takes each event's data as an RFC 7386 merge
// patch of the state.
func Merge() Fold { return jqFold{fold: fold.Merge(), name: "merge"} }

// JQOptions are what [JQ] may be told.
type JQOptions struct {
	// Limit is how long one event may take. Defaults to 5 s.
	Limit time.Duration
}

// JQ returns the fold that a jq program is: its input is the state, at first
// {}, $event is the record, its one output is the next state.
func JQ(program string, opts *JQOptions) (Fold, error) {
	var o fold.Options
	if opts != nil {
		o.Limit = opts.Limit
	}
	f, err := fold.Compile(program, &o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(program))
	return jqFold{fold: f, name: "jq-" + hex.EncodeToString(sum[:])}, nil
}

type jqFold struct {
	fold *fold.Fold
	name string
}

func (f jqFold) key() string { return f.name }

func (f jqFold) restore(value []byte) (any, error) { return fold.Parse(value) }

func (f jqFold) start(ctx context.Context, from any, p *Predicate) (run, error) {
	used := f.fold
	if p != nil {
		if p.fn != nil {
			return nil, fmt.Errorf("a predicate in Go needs a fold of a Go model")
		}
		var err error
		if used, err = f.fold.Testing(p.jq); err != nil {
			return nil, err
		}
	}
	if from == nil {
		from = map[string]any{}
	}
	from = copied(from)
	return &jqRun{Run: used.StartFrom(ctx, from), last: from}, nil
}

// copied returns a state that shares nothing with v: an interpreter's del
// writes into what it was given, if only the values that are there, and another
// goroutine may be reading it.
func copied(v any) any {
	switch x := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(x))
		for name, e := range x {
			m[name] = copied(e)
		}
		return m
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = copied(e)
		}
		return list
	}
	return v
}

type jqRun struct {
	*fold.Run
	last any
}

func (r *jqRun) apply(rec *annals.Record) error { return r.Apply(rec) }
func (r *jqRun) holds() bool                    { return r.Holds() }
func (r *jqRun) state() any                     { return r.State() }
func (r *jqRun) value() (any, error)            { return r.State(), nil }
func (r *jqRun) finish() error                  { return r.Finish() }
func (r *jqRun) close()                         { r.Close() }

func (r *jqRun) changed() []Change { return r.changes() }

func (r *jqRun) changes() []Change {
	before := r.last
	r.last = r.State()
	return Diff(before, r.last)
}

// Model returns the fold of a Go model over db's log. Fields are named as
// encoding/json names them.
func Model[S any](db *annals.DB, m *annals.Model[S]) Fold { return modelFold[S]{db, m} }

type modelFold[S any] struct {
	db    *annals.DB
	model *annals.Model[S]
}

func (f modelFold[S]) key() string { return "" } // what a model does can change with every build

func (f modelFold[S]) restore([]byte) (any, error) { return nil, nil }

func (f modelFold[S]) start(_ context.Context, from any, p *Predicate) (run, error) {
	r := &modelRun[S]{modelFold: f, s: f.model.Start(), test: func(*S) bool { return false }}
	if from != nil {
		r.s = f.model.Clone(from.(*S))
	}
	if p != nil {
		fn, ok := p.fn.(func(*S) bool)
		if !ok {
			return nil, fmt.Errorf("the predicate is not a func(%T) bool", r.s)
		}
		r.test = fn
	}
	return r, nil
}

type modelRun[S any] struct {
	modelFold[S]
	s    *S
	last any // the value at the last call of changes
	test func(*S) bool
}

func (r *modelRun[S]) holds() bool   { return r.test(r.s) }
func (r *modelRun[S]) finish() error { return nil }
func (r *modelRun[S]) close()        {}

// apply tells of a handler or upcaster that panics as of one that fails: it is
// often the event that somebody is looking for.
func (r *modelRun[S]) apply(rec *annals.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("version %d of %q (position %d, %s): the model panics: %v", rec.Version, rec.Stream, rec.Position, rec.Type, p)
		}
	}()
	return r.model.Apply(r.db, r.s, *rec)
}

func (r *modelRun[S]) state() any {
	if c := r.model.Clone(r.s); c != nil {
		return c
	}
	return nil
}

func (r *modelRun[S]) value() (any, error) {
	text, err := json.Marshal(r.s)
	if err != nil {
		return nil, err
	}
	return fold.Parse(text)
}
