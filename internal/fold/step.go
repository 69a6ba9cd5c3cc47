package fold

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/itchyny/gojq"

	"github.com/annals-db/annals/driver"
)

// Stepper runs a fold one event at a time on states that come from anywhere: a
// row, a document. It may be used by any number of goroutines at once.
type Stepper struct {
	code   *gojq.Code // nil for the merge
	fields fields
	limit  time.Duration
	values sync.Pool
}

// Stepper returns what runs f one event at a time.
func (f *Fold) Stepper() (*Stepper, error) {
	s := &Stepper{fields: f.fields, limit: f.limit, values: sync.Pool{New: func() any { return &values{} }}}
	if f.loop == nil {
		return s, nil
	}
	// [limit(2; program)], so that more than one output is found out at once.
	two := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: "2"}}
	program := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: f.loop.Term.Foreach.Update}}
	limited := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "limit", Args: []*gojq.Query{two, program}}}}
	q := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: limited}}}
	var err error
	s.code, err = gojq.Compile(q, gojq.WithVariables([]string{"$event"}))
	return s, err
}

// Step returns the state that rec makes of state, which is not changed. A
// failure is an *[Error], or that of a context that has ended.
func (s *Stepper) Step(ctx context.Context, state any, rec *driver.Record) (any, error) {
	v, _ := s.values.Get().(*values)
	defer s.values.Put(v)
	at := newError(rec)
	event, err := v.event(rec, s.fields)
	if err != nil {
		at.Err = err
		return nil, &at
	}
	if s.code == nil {
		return mergePatch(state, event["data"]), nil
	}
	bounded, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("%w: over %s on one event", ErrLimit, s.limit))
	defer cancel()
	out, err := one(s.code.RunWithContext(bounded, state, event))
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bounded.Err() != nil:
		err = context.Cause(bounded)
	}
	at.Err = err
	return nil, &at
}

// one returns the one output that is in the array that outputs gives.
func one(outputs gojq.Iter) (any, error) {
	out, _ := outputs.Next()
	switch out := out.(type) {
	case error:
		return nil, out
	case []any:
		switch len(out) {
		case 0:
			return nil, errors.New("it gives no output; it must give one")
		case 1:
			return out[0], nil
		}
	}
	return nil, errMany
}
