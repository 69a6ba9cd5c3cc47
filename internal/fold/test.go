package fold

import (
	"errors"
	"fmt"

	"github.com/itchyny/gojq"
)

// mergeName is the function that a loop merges a patch with.
const mergeName = "__merge"

// Testing returns the fold that also tests a predicate, a jq program whose
// input is the state and which may look at $event, after each event;
// [Run.Holds] tells the outcome. Both run in one loop of the interpreter, which
// costs much less than a run of its own for each test.
func (f *Fold) Testing(predicate string) (*Fold, error) {
	q, err := gojq.Parse(predicate)
	if err != nil {
		return nil, fmt.Errorf("the predicate is not a jq program: %w", err)
	}
	used, err := inspect(q)
	if err != nil {
		return nil, fmt.Errorf("the predicate: %w", err)
	}
	t := &Fold{fields: union(f.fields, used), limit: f.limit, tests: true}
	update := f.loop
	if update == nil {
		update = loop(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: mergeName, Args: []*gojq.Query{eventData()}}}})
	}
	each := *update.Term.Foreach
	// [., (predicate)]
	each.Extract = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: &gojq.Query{
		Left: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}, Op: gojq.OpComma,
		Right: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: q}},
	}}}}
	t.loop = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeForeach, Foreach: &each}}
	if _, err := t.compile(nil); err != nil {
		return nil, fmt.Errorf("the predicate is not a jq program: %w", err)
	}
	return t, nil
}

// eventData is $event.data.
func eventData() *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{
		Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "$event"},
		SuffixList: []*gojq.Suffix{{Index: &gojq.Index{Name: "data"}}},
	}}
}

func union(a, b fields) fields {
	if a == nil || b == nil {
		return nil
	}
	u := fields{}
	for _, f := range []fields{a, b} {
		for name := range f {
			u[name] = true
		}
	}
	return u
}

// Holds reports whether the predicate of [Fold.Testing] holds of the state
// after the last event: whether its one output is neither false nor null.
func (r *Run) Holds() bool { return r.holds }

// test takes what a loop that tests gives.
func (r *Run) test(next any) error {
	pair, _ := next.([]any)
	if len(pair) != 2 {
		return r.explain(errors.New("the predicate gives no output or several; it must give one"), r.at)
	}
	r.state, r.holds = pair[0], pair[1] != nil && pair[1] != false
	return nil
}
