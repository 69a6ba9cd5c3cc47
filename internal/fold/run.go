package fold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/itchyny/gojq"

	"github.com/annals-db/annals/driver"
)

// Run is a fold under way, for one goroutine. [Run.Close] ends it.
type Run struct {
	fold   *Fold
	state  any
	holds  bool // the predicate, of state
	values values
	loop   gojq.Iter // gives the state after each event
	source source
	at     Error // the event folded last, for what is found out about it later
	err    error
	outer  context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// source hands the loop one event at a time.
type source struct {
	event map[string]any
	taken bool // whether the loop has asked for event
}

// Next is called by the loop when it is through with the event before.
func (s *source) Next() (any, bool) {
	if s.taken {
		return nil, false // without an output for the event it has
	}
	s.taken = true
	return s.event, true
}

// Start begins with the state {}.
func (f *Fold) Start(ctx context.Context) *Run { return f.StartFrom(ctx, map[string]any{}) }

// StartFrom begins with a state that another run of the same fold has come to.
func (f *Fold) StartFrom(ctx context.Context, state any) *Run {
	r := &Run{fold: f, state: state, outer: ctx}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.timer = time.AfterFunc(f.limit, func() { r.cancel(fmt.Errorf("%w: over %s on one event", ErrLimit, f.limit)) })
	r.timer.Stop()
	if f.loop != nil {
		var code *gojq.Code
		if code, r.err = f.compile(&r.source); r.err == nil {
			r.loop = code.RunWithContext(r.ctx, r.state)
		}
	}
	return r
}

// Close ends the run. Its state stays.
func (r *Run) Close() {
	r.timer.Stop()
	r.cancel(nil)
}

// State returns the state: nil, bool, string, int, float64, *big.Int,
// json.Number, []any or map[string]any. It must not be changed, and is not
// changed by further events. [Marshal] writes it.
func (r *Run) State() any { return r.state }

// Apply folds rec in. After an error, an *[Error] or that of a context that has
// ended, the state is that before rec, and every further call fails likewise.
// That the event before gave more than one output is found out only now, or by
// [Run.Finish].
func (r *Run) Apply(rec *driver.Record) error {
	if r.err == nil {
		r.err = r.apply(rec)
	}
	return r.err
}

func (r *Run) apply(rec *driver.Record) error {
	event, err := r.values.event(rec, r.fold.fields)
	if err == nil && r.loop != nil {
		return r.step(rec, event)
	}
	if err == nil {
		r.state = mergePatch(r.state, event["data"])
		return nil
	}
	return r.explain(err, newError(rec))
}

func newError(rec *driver.Record) Error {
	return Error{rec.Position, rec.Stream, rec.Version, rec.Type, nil}
}

// explain returns err as the failure of the fold at an event, or why the run
// was ended from outside.
func (r *Run) explain(err error, at Error) error {
	if r.outer.Err() != nil {
		return context.Cause(r.outer)
	}
	if cause := context.Cause(r.ctx); cause != nil {
		err = cause
	}
	at.Err = err
	return &at
}

var errMany = errors.New("it gives more than one output; it must give one")

// Finish finds out whether the last event gave more than one output. No event
// can be folded after it.
func (r *Run) Finish() error {
	if r.err != nil || r.loop == nil || r.at.Position == 0 {
		return r.err
	}
	r.timer.Reset(r.fold.limit)
	defer r.timer.Stop()
	next, ok := r.loop.Next()
	if !ok {
		return nil
	}
	err, isErr := next.(error)
	if !isErr {
		err = errMany
	}
	r.err = r.explain(err, r.at)
	return r.err
}

// step lets the loop go on to its output for rec, which is event.
func (r *Run) step(rec *driver.Record, event map[string]any) error {
	r.timer.Reset(r.fold.limit)
	defer r.timer.Stop()
	before := r.at
	r.source, r.at = source{event: event}, newError(rec)
	next, ok := r.loop.Next()
	err, isErr := next.(error)
	switch {
	case !ok:
		return r.explain(errors.New("it gives no output; it must give one"), r.at)
	case !r.source.taken && isErr:
		return r.explain(err, before)
	case !r.source.taken:
		return r.explain(errMany, before)
	case isErr:
		return r.explain(err, r.at)
	}
	if r.fold.tests {
		return r.test(next)
	}
	r.state = next
	return nil
}
