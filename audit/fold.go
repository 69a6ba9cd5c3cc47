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
	table *table // nil if it was dropped
	rows  map[string]foldedRow
	since driver.Position // of the change since which it is read again; 0 if it is not
	until driver.Position // the end of that reading; 0 if it has not ended
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
	known := false
	for r, err := range t.log.Read(ctx, driver.Query{Items: []driver.Item{{Category: stream}}}, driver.ReadOptions{UpTo: b}) {
		if err != nil {
			return nil, err
		}
		if group := r.Metadata.Value("group"); group != "" && abandoned[group] || skip != nil && skip(r.Metadata.Value("xid")) {
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
		f.since = 0 // it was complete by then
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
		case TableDropped:
			f.table, f.since = nil, 0
			clear(f.rows)
		}
		return nil
	}
	switch r.Type {
	case RowDeleted, RowTruncated:
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

// ahead takes from what was read again later the rows that were so at b already:
// those of which no event came between the change of the table and the reading.
func (t *Trail) ahead(ctx context.Context, f *folded, stream string, b driver.Position) error {
	info, err := t.log.Info(ctx)
	if err != nil || info.Head <= b {
		return err
	}
	item := driver.Item{Category: stream, Types: []string{RowReread, TableDescribed, SchemaChanged, TableDropped}}
	now := f.table
	for r, err := range t.log.Read(ctx, driver.Query{Items: []driver.Item{item}}, driver.ReadOptions{After: b, UpTo: f.until}) {
		switch {
		case err != nil:
			return err
		case r.Type == TableDropped:
			return nil
		case r.Type != RowReread:
			if now, err = tableOf(&r); err != nil {
				return err
			}
			if now.Reread {
				return nil // what comes is of another change
			}
			continue
		}
		if !strings.HasPrefix(r.Stream, stream+"-") {
			continue
		}
		was, there := f.rows[r.Stream]
		if there && was.position > f.since && !was.stale {
			continue
		}
		after, err := member(r.Data, "after")
		if err != nil {
			return err
		}
		f.rows[r.Stream] = foldedRow{r.Position, after, now, false}
	}
	return nil
}
