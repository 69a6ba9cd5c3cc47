package audit

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/annals-db/annals/driver"
)

// folded is a table as its events add up to it.
type folded struct {
	table *table // nil if it is not in the trail any more
	ended string // then why
	rows  map[string]foldedRow
	since driver.Position // of the change since which it is read again; 0 if it is not
	until driver.Position // the end of that reading; 0 if it has not ended
	vague bool            // rows may be as they were before the rewrite
}

// foldedRow is a row: its values as JSON under the columns of a version of the table.
type foldedRow struct {
	position driver.Position
	after    []byte
	table    *table
	stale    bool
}

// skipper says which transactions do not count: nil, all do.
type skipper func(xid string) bool

// fold reads a table as it is at a bound.
func (t *Trail) fold(ctx context.Context, name Name, b driver.Position, skip skipper) (*folded, error) {
	stream := name.Stream()
	abandoned, err := t.abandoned(ctx)
	if err != nil {
		return nil, err
	}
	f := &folded{rows: map[string]foldedRow{}}
	ends, err := t.rereadEnds(ctx, stream)
	if err != nil {
		return nil, err
	}
	known, skipped := false, driver.Position(0) // the first event since f.since that does not count
	for r, err := range t.log.Read(ctx, driver.Query{Items: []driver.Item{{Category: stream}}}, driver.ReadOptions{UpTo: b}) {
		if err != nil {
			return nil, err
		}
		if group := r.Metadata.Value("group"); group != "" && abandoned[group] {
			continue
		}
		if skip != nil && skip(r.Metadata.Value("xid")) {
			if skipped <= f.since {
				skipped = r.Position
			}
			continue
		}
		known = true
		if err := f.apply(&r, stream); err != nil {
			return nil, fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
		}
	}
	if !known {
		return nil, notThere(fmt.Sprintf("the trail has no table %s then", name))
	}
	if f.since == 0 || f.table == nil {
		return f, nil
	}
	f.until = ends[f.since]
	if f.until != 0 && f.until <= b {
		// It was complete by then, but for what a skipped event told in its place.
		f.vague = skipped > f.since && skipped <= f.until
		f.since = 0
		return f, nil
	}
	return f, t.ahead(ctx, f, stream, b)
}

// rereadEnds returns where each reading again of a table ended, by since when it was needed.
func (t *Trail) rereadEnds(ctx context.Context, stream string) (map[driver.Position]driver.Position, error) {
	ends := map[driver.Position]driver.Position{}
	q := driver.Query{Items: []driver.Item{{Category: captureCategory, Types: []string{rereadCompleted}, Tags: []string{"reread:" + stream}}}}
	for r, err := range t.log.Read(ctx, q, driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		m, err := readMark(&r)
		if err != nil {
			return nil, err
		}
		ends[m.First] = r.Position
	}
	return ends, nil
}

func (f *folded) apply(r *driver.Record, stream string) error {
	if r.Stream == stream {
		switch r.Type {
		case TableDescribed, SchemaChanged:
			t, err := tableOf(r)
			if err != nil {
				return err
			}
			f.table = t
			if t.Reread {
				f.since = r.Position
			}
		case TableDropped, TableLeftOut:
			f.table, f.since, f.ended = nil, 0, "dropped"
			if r.Type == TableLeftOut {
				f.ended = "left out of the trail"
			}
			clear(f.rows)
		}
		return nil
	}
	switch r.Type {
	case RowDeleted, RowTruncated, RowLeftOut:
		delete(f.rows, r.Stream)
		return nil
	case RowFound, RowInserted, RowUpdated, RowReread:
		after, err := member(r.Data, "after")
		if err != nil {
			return err
		}
		if f.table == nil {
			return fmt.Errorf("a row of table %s, which is not described", stream)
		}
		f.rows[r.Stream] = foldedRow{r.Position, after, f.table, bytes.Contains(r.Data, []byte(`,"stale":[`))}
	}
	return nil
}

// ahead finds what rows were at b of which no event came between the change of
// the table and b: from the first event of each that comes later, which is that it was read
// again, or that it was changed, with all old values where the server sends them.
func (t *Trail) ahead(ctx context.Context, f *folded, stream string, b driver.Position) error {
	l := &lookahead{f: f, unknown: map[string]bool{}, seen: map[string]bool{}, now: f.table}
	for name, r := range f.rows {
		if r.position < f.since || r.stale {
			l.unknown[name] = true
		}
	}
	defer func() { f.vague = f.until == 0 || len(l.unknown) > 0 }()
	info, err := t.log.Info(ctx)
	if err != nil || info.Head <= b {
		return err
	}
	abandoned, err := t.abandoned(ctx)
	if err != nil {
		return err
	}
	for r, err := range t.log.Read(ctx, driver.Query{Items: []driver.Item{{Category: stream}}}, driver.ReadOptions{After: b, UpTo: f.until}) {
		if err != nil {
			return err
		}
		if abandoned[r.Metadata.Value("group")] {
			continue
		}
		more, err := l.take(&r, stream)
		if err != nil {
			return fmt.Errorf("event at position %d of the trail: %w", r.Position, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// lookahead is what was found beyond a moment.
type lookahead struct {
	f       *folded
	now     *table          // as the table is at the event
	unknown map[string]bool // rows of the moment that may be of before the rewrite
	seen    map[string]bool // rows with an event beyond the moment
}

// take takes one event; it returns false where nothing that follows tells of the moment.
func (l *lookahead) take(r *driver.Record, stream string) (more bool, err error) {
	switch {
	case r.Type == TableDropped || r.Type == TableLeftOut:
		return false, nil
	case r.Type == TableDescribed || r.Type == SchemaChanged:
		now, err := tableOf(r)
		if err != nil || now.Reread {
			return false, err // what comes is of another change
		}
		l.now = now
		return true, nil
	case !strings.HasPrefix(r.Stream, stream+"-") || l.seen[r.Stream]:
		return true, nil
	}
	l.seen[r.Stream] = true
	was, there := l.f.rows[r.Stream]
	if there && !l.unknown[r.Stream] {
		return true, nil
	}
	values, err := l.before(r)
	if values == nil || err != nil {
		return true, err
	}
	text, err := l.f.at(values, l.now, was, there)
	if err != nil {
		return false, err
	}
	l.f.rows[r.Stream] = foldedRow{r.Position, text, l.f.table, false}
	delete(l.unknown, r.Stream)
	return true, nil
}

// before returns the row as it was before an event, as JSON; nil if the event does not tell.
func (l *lookahead) before(r *driver.Record) ([]byte, error) {
	after, err := member(r.Data, "after")
	if err != nil || r.Type == RowReread {
		return after, err
	}
	before, err := member(r.Data, "before")
	if err != nil || before == nil || !l.now.full() || r.Type == RowTruncated || r.Type == RowLeftOut {
		return nil, err // it is what the trail knew
	}
	if r.Type == RowDeleted {
		return before, nil
	}
	row, err := parseRow(after)
	if err != nil {
		return nil, err
	}
	old, err := parseRow(before)
	if err != nil {
		return nil, err
	}
	values := make([]value, len(l.now.Columns))
	for i, c := range l.now.Columns {
		values[i] = row[c.Name]
		if v, changed := old[c.Name]; changed {
			values[i] = v
		}
	}
	return l.now.appendRow(nil, values, nil)
}

// at returns a row, known under the columns of another version of the table,
// under those of f; what has been dropped in between is as was has it.
func (f *folded) at(text []byte, version *table, was foldedRow, there bool) ([]byte, error) {
	row, _, err := known{after: text, table: version}.as(f.table)
	if err != nil {
		return nil, err
	}
	if there {
		old, _, err := known{after: was.after, table: was.table}.as(f.table)
		if err != nil {
			return nil, err
		}
		for i, c := range f.table.Columns {
			if version.column(c.Number) == nil {
				row[i] = old[i]
			}
		}
	}
	return f.table.appendRow(nil, row, nil)
}
