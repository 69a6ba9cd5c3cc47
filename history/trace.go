package history

import (
	"context"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/google/uuid"
)

// Trace is an event in the tree of causes and effects.
type Trace struct {
	Record  annals.Record
	Missing string   // in place of Record: the ID that is named as a cause and is not in the log
	Cycle   bool     // this event stands further up already; its effects are not followed again
	Asked   bool     // the event that was asked for
	Effects []*Trace // in order of position
}

// TraceOf returns the tree of causation that the event at a position is in, from its
// first cause down, and the further events of its correlation that hang on no
// cause in it. Who caused whom is in the metadata "causation" (an event ID),
// the larger doing in "correlation".
func TraceOf(ctx context.Context, log driver.Log, p annals.Position) (root *Trace, others []*Trace, err error) {
	rec, err := recordAt(ctx, log, p)
	if err != nil {
		return nil, nil, err
	}
	l, err := readLinks(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	t := tracer{ctx: ctx, log: log, links: l, asked: p, placed: map[annals.Position]bool{}}
	top, missing := t.top(rec)
	root, err = t.tree(top, map[annals.Position]bool{})
	if err != nil {
		return nil, nil, err
	}
	if missing != "" {
		root = &Trace{Missing: missing, Effects: []*Trace{root}}
	}
	correlation := rec.Metadata.Value("correlation")
	if correlation == "" {
		correlation = rec.ID.String()
	}
	among := map[annals.Position]bool{}
	for _, at := range l.correlated[correlation] {
		among[at] = true
	}
	for _, at := range l.correlated[correlation] {
		if t.placed[at] {
			continue
		}
		r, err := recordAt(ctx, log, t.topAmong(at, among))
		if err != nil {
			return nil, nil, err
		}
		other, err := t.tree(r, map[annals.Position]bool{})
		if err != nil {
			return nil, nil, err
		}
		others = append(others, other)
	}
	return root, others, nil
}

// topAmong goes from cause to cause up as long as the events are among those
// given and not placed yet.
func (t *tracer) topAmong(at annals.Position, among map[annals.Position]bool) annals.Position {
	seen := map[annals.Position]bool{}
	for {
		seen[at] = true
		up, known := t.links.record(t.links.cause[at])
		if !known || !among[up] || t.placed[up] || seen[up] {
			return at
		}
		at = up
	}
}

// links are the causes and effects in a log, read in one scan.
type links struct {
	at         map[annals.ID]annals.Position   // of events that have or are named as causes
	cause      map[annals.Position]string      // the ID each event names as its cause
	effects    map[annals.ID][]annals.Position // by the cause's ID
	correlated map[string][]annals.Position
}

func (l *links) record(id string) (annals.Position, bool) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return 0, false
	}
	p, ok := l.at[parsed]
	return p, ok
}

func readLinks(ctx context.Context, log driver.Log) (*links, error) {
	l := &links{map[annals.ID]annals.Position{}, map[annals.Position]string{}, map[annals.ID][]annals.Position{}, map[string][]annals.Position{}}
	named := map[annals.ID]bool{}
	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		if c := r.Metadata.Value("correlation"); c != "" {
			l.correlated[c] = append(l.correlated[c], r.Position)
		}
		cause := r.Metadata.Value("causation")
		if cause == "" {
			continue
		}
		l.cause[r.Position] = cause
		l.at[r.ID] = r.Position
		if id, err := uuid.Parse(cause); err == nil {
			l.effects[id] = append(l.effects[id], r.Position)
			named[id] = true
		}
	}
	return l, l.place(ctx, log, named)
}

// place finds where the events are that are named as causes and have none.
func (l *links) place(ctx context.Context, log driver.Log, named map[annals.ID]bool) error {
	var q driver.Query
	for id := range named {
		if _, ok := l.at[id]; !ok {
			q.Items = append(q.Items, driver.Item{IDs: []annals.ID{id}})
		}
	}
	const most = 200 // items of one query
	for len(q.Items) > 0 {
		n := min(most, len(q.Items))
		for r, err := range log.Read(ctx, driver.Query{Items: q.Items[:n]}, driver.ReadOptions{}) {
			if err != nil {
				return err
			}
			l.at[r.ID] = r.Position
		}
		q.Items = q.Items[n:]
	}
	return nil
}

type tracer struct {
	ctx    context.Context
	log    driver.Log
	links  *links
	asked  annals.Position
	placed map[annals.Position]bool
}

// top goes from cause to cause up to the first; missing is an ID at the top
// that is not in the log.
func (t *tracer) top(rec annals.Record) (top annals.Record, missing string) {
	seen := map[annals.Position]bool{}
	for !seen[rec.Position] {
		seen[rec.Position] = true
		cause := t.links.cause[rec.Position]
		if cause == "" {
			return rec, ""
		}
		at, ok := t.links.record(cause)
		if !ok {
			return rec, cause
		}
		up, err := recordAt(t.ctx, t.log, at)
		if err != nil {
			return rec, cause
		}
		rec = up
	}
	return rec, "" // a cycle: any of its events is the top
}

func (t *tracer) tree(rec annals.Record, above map[annals.Position]bool) (*Trace, error) {
	n := &Trace{Record: rec, Asked: rec.Position == t.asked}
	if above[rec.Position] {
		n.Cycle = true
		return n, nil
	}
	t.placed[rec.Position] = true
	above[rec.Position] = true
	defer delete(above, rec.Position)
	for _, p := range t.links.effects[rec.ID] {
		r, err := recordAt(t.ctx, t.log, p)
		if err != nil {
			return nil, err
		}
		child, err := t.tree(r, above)
		if err != nil {
			return nil, err
		}
		n.Effects = append(n.Effects, child)
	}
	return n, nil
}
