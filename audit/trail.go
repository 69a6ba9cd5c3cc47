package audit

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Trail answers questions about the audit trail in a log. It may be used by
// any number of goroutines, while [Capture] goes on in this process or another.
type Trail struct {
	log driver.Log
	// Started says of what the trail is.
	Started Origin
}

// Origin is where a trail comes from.
type Origin struct {
	System      string   `json:"system"` // the server's system identifier
	Database    string   `json:"database"`
	Slot        string   `json:"slot"`
	Publication string   `json:"publication"`
	Tables      []string `json:"tables"` // those that it began with
}

// Open returns the trail in log; an error that wraps [ErrNoTrail] if there is
// none. The log remains the caller's to close.
func Open(ctx context.Context, log driver.Log) (*Trail, error) {
	for r, err := range log.Read(ctx, capture(captureStarted), driver.ReadOptions{Limit: 1}) {
		if err != nil {
			return nil, err
		}
		m, err := readMark(&r)
		if err != nil {
			return nil, err
		}
		return &Trail{log, Origin{m.System, m.Database, m.Slot, m.Publication, m.Tables}}, nil
	}
	return nil, ErrNoTrail
}

// abandoned returns the groups of parts that never were closed.
func (t *Trail) abandoned(ctx context.Context) (map[string]bool, error) {
	groups := map[string]bool{}
	for r, err := range t.log.Read(ctx, capture(partsAbandoned), driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		m, err := readMark(&r)
		if err != nil {
			return nil, err
		}
		groups[m.Group] = true
	}
	return groups, nil
}

// Tables returns the tables that the trail has at p, in order of name.
func (t *Trail) Tables(ctx context.Context, p Point) ([]Name, error) {
	bound, err := t.resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	return t.tables(ctx, bound.position, nil)
}

// tables returns the tables of the trail at a position, in order of name.
func (t *Trail) tables(ctx context.Context, at driver.Position, skip skipper) ([]Name, error) {
	lineage, err := t.lineage(ctx, "", at, skip)
	if err != nil {
		return nil, err
	}
	var list []Name
	for _, versions := range lineage {
		if last := versions[len(versions)-1].table; last != nil {
			list = append(list, last.name)
		}
	}
	sortNames(list)
	return list, nil
}

// LeftOut returns the tables that are left out of the trail now, in order of name: see [Options].
func (t *Trail) LeftOut(ctx context.Context) ([]Name, error) {
	s, err := readState(ctx, t.log)
	if err != nil {
		return nil, err
	}
	var list []Name
	for _, out := range s.out {
		list = append(list, Name{out.Schema, out.Table})
	}
	sortNames(list)
	return list, nil
}

// lineage reads what tables were up to a position, or one of them by its stream.
func (t *Trail) lineage(ctx context.Context, stream string, upTo driver.Position, skip skipper) (lineage, error) {
	abandoned, err := t.abandoned(ctx)
	if err != nil {
		return nil, err
	}
	item := driver.Item{Types: []string{TableDescribed, SchemaChanged, TableDropped, TableLeftOut}}
	if stream != "" {
		item.Streams = []string{stream}
	}
	l := lineage{}
	for r, err := range t.log.Read(ctx, driver.Query{Items: []driver.Item{item}}, driver.ReadOptions{UpTo: upTo}) {
		if err != nil {
			return nil, err
		}
		if group := r.Metadata.Value("group"); abandoned[group] || skip != nil && skip(r.Metadata.Value("xid")) {
			continue
		}
		if r.Type == TableDropped || r.Type == TableLeftOut {
			l.add(r.Stream, r.Position, nil)
			continue
		}
		table, err := tableOf(&r)
		if err != nil {
			return nil, err
		}
		l.add(r.Stream, r.Position, table)
	}
	return l, nil
}

func notThere(what string) error { return fmt.Errorf("%w: %s", driver.ErrNotFound, what) }
