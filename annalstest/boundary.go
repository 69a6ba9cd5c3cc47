package annalstest

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// spy is a log that notes which queries are read.
type spy struct {
	driver.Log
	off     bool
	queries []annals.Query
}

func (s *spy) Read(ctx context.Context, q annals.Query, o annals.ReadOptions) iter.Seq2[annals.Record, error] {
	if !s.off {
		s.queries = append(s.queries, q)
	}
	return s.Log.Read(ctx, q, o)
}

func (s *spy) forget() { s.queries, s.off = nil, false }

func (s *spy) stop() { s.off = true }

// boundary is what a decision depended on.
type boundary struct {
	conditions []driver.Condition
	queries    []annals.Query // read, where nothing was appended that keeps conditions
}

func (p *played) boundary() boundary {
	if len(p.records) > 0 {
		return boundary{conditions: p.records[0].Conditions}
	}
	return boundary{queries: p.spy.queries}
}

func (b boundary) covers(e *driver.Event) bool {
	for _, c := range b.conditions {
		if c.Kind == driver.NoneAfterKind && c.Query.Matches(e) || c.Kind != driver.NoneAfterKind && c.Stream == e.Stream {
			return true
		}
	}
	return slices.ContainsFunc(b.queries, func(q annals.Query) bool { return q.Matches(e) })
}

func (b boundary) String() string {
	var parts []string
	for _, c := range b.conditions {
		parts = append(parts, c.String())
	}
	for _, q := range b.queries {
		parts = append(parts, q.String())
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// checkBoundary fails for each event given that the decision did not read.
func (s *Scenario) checkBoundary(p *played) {
	s.t.Helper()
	b := p.boundary()
	for i := range p.given {
		e := &p.given[i].Event
		if b.covers(e) {
			continue
		}
		o := Stored{Type: e.Type, Data: string(e.Data)}
		what := describe(e.Stream, o)
		if len(e.Tags) > 0 {
			what += " tagged " + strings.Join(e.Tags, ", ")
		}
		s.t.Errorf("given %s lies outside of what the decision depends on: %s\n"+
			"(if the decision need not read it, give it with Beside)", what, b)
	}
}
