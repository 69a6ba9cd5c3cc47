package audit

import (
	"context"
	"fmt"
	"slices"
)

// Blame is who last set a value.
type Blame struct {
	Column string
	Value  *string // nil is NULL
	Change Change  // that set it
}

// Blame returns for each value of a row, as it was at p, the change that last
// set it. A row that is not there at p is driver.ErrNotFound.
func (t *Trail) Blame(ctx context.Context, name Name, key []string, p Point) ([]Blame, error) {
	b, err := t.resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	stream := name.Stream()
	lineage, err := t.lineage(ctx, stream, b.position, nil)
	if err != nil {
		return nil, err
	}
	now := lineage.at(stream, b.position)
	var values []value
	var who []*Change
	gone := true
	for c, err := range t.Changes(ctx, Filter{Table: name, Key: key}) {
		if err != nil {
			return nil, err
		}
		if c.Position > b.position {
			break
		}
		if gone = c.After == nil; gone {
			values, who = nil, nil
			continue
		}
		row, _, err := known{after: c.After, table: lineage.at(stream, c.Position)}.as(now)
		if err != nil {
			return nil, err
		}
		if who == nil {
			who = make([]*Change, len(row))
		}
		for i := range row {
			if values == nil || !row[i].equal(values[i]) || who[i] == nil {
				who[i] = &c
			}
		}
		values = row
	}
	if gone || now == nil {
		return nil, notThere(fmt.Sprintf("table %s has no row %s at %s", name, joinKey(key), p))
	}
	out := make([]Blame, len(values))
	for i, v := range values {
		out[i] = Blame{Column: now.Columns[i].Name, Change: *who[i]}
		if !v.null {
			text := string(v.text)
			out[i].Value = &text
		}
	}
	return out, nil
}

// Difference is a row that differs between two moments.
type Difference struct {
	Key  []string
	Kind string // "added", "removed" or "changed"
	// Columns are the values that differ: of an added row all new ones, of a
	// removed one all old ones.
	Columns []ColumnDifference
}

// ColumnDifference is a value that differs; nil is NULL or none.
type ColumnDifference struct {
	Column   string  `json:"column"`
	Old, New *string `json:"-"`
}

// Difference returns the rows of a table that differ between two moments, in
// order of key. Columns are the same if they are through renames.
func (t *Trail) Difference(ctx context.Context, name Name, from, to Point) ([]Difference, error) {
	a, err := t.Table(ctx, name, from)
	if err != nil {
		return nil, err
	}
	b, err := t.Table(ctx, name, to)
	if err != nil {
		return nil, err
	}
	old := map[string]Row{}
	for _, r := range a.rows {
		old[r.Stream] = r
	}
	pairs := pairColumns(a.Columns, b.Columns)
	var list []Difference
	for _, r := range b.rows {
		was, there := old[r.Stream]
		delete(old, r.Stream)
		d := Difference{Key: r.Key, Kind: "changed"}
		if !there {
			d.Kind = "added"
		}
		for _, p := range pairs {
			c := ColumnDifference{Column: p.name}
			if there && p.old >= 0 {
				c.Old = was.Values[p.old]
			}
			if p.new >= 0 {
				c.New = r.Values[p.new]
			}
			if !equalText(c.Old, c.New) {
				d.Columns = append(d.Columns, c)
			}
		}
		if !there || len(d.Columns) > 0 {
			list = append(list, d)
		}
	}
	for _, r := range a.rows {
		if _, left := old[r.Stream]; left {
			d := Difference{Key: r.Key, Kind: "removed"}
			for i, c := range a.Columns {
				if r.Values[i] != nil {
					d.Columns = append(d.Columns, ColumnDifference{c.Name, r.Values[i], nil})
				}
			}
			list = append(list, d)
		}
	}
	if len(b.Columns) > 0 && len(list) > 1 {
		less := keysOf(b).keyOrder()
		slices.SortStableFunc(list, func(x, y Difference) int { return less(x.Key, y.Key) })
	}
	return list, nil
}

func equalText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// pair is a column before and after, by index; -1 where it is not there.
type pair struct {
	name     string
	old, new int
}

func pairColumns(a, b []Column) (pairs []pair) {
	for i, c := range b {
		old := slices.IndexFunc(a, func(o Column) bool { return o.Number == c.Number })
		pairs = append(pairs, pair{c.Name, old, i})
	}
	for i, c := range a {
		if !slices.ContainsFunc(b, func(n Column) bool { return n.Number == c.Number }) {
			pairs = append(pairs, pair{c.Name, i, -1})
		}
	}
	return pairs
}

// keysOf returns what orders the keys of t.
func keysOf(t *Table) *table {
	out := &table{description: description{Columns: t.Columns}}
	for _, k := range t.Key {
		out.key = append(out.key, slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == k }))
	}
	return out
}
