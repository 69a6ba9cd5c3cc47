package audit

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/annals-db/annals/driver"
)

// Table is a table as it was at a moment.
type Table struct {
	Name    Name
	Columns []Column
	Key     []string // the columns of its primary key
	// At is the position of the log up to which it is, and AsOf the commit of the
	// last transaction by then.
	At   driver.Position
	AsOf time.Time
	// Vague says that the table had just been rewritten (its change of type or
	// default set values that no message tells) and that rows which were changed before
	// they could be read again may have the values of before the rewrite; or that
	// it had no primary key then, so that rows may be missing which shared that of before.
	Vague bool

	rows []Row
}

// Row is a row of a table.
type Row struct {
	Stream string    // its stream in the log
	Key    []string  // its key's values
	Values []*string // in the order of the table's columns; nil is NULL
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Rows yields the rows in the order of their keys: by number where a key is one, else by the bytes of the text.
func (t *Table) Rows() iter.Seq[Row] { return slices.Values(t.rows) }

// Table returns a table as it was at p. It holds the whole table in memory.
// A table that the trail does not have at p is driver.ErrNotFound.
func (t *Trail) Table(ctx context.Context, name Name, p Point) (*Table, error) {
	b, err := t.resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	f, err := t.fold(ctx, name, b.position, nil)
	if err != nil {
		return nil, err
	}
	out, err := f.build(name)
	if err != nil {
		return nil, err
	}
	out.At, out.AsOf = b.position, b.mark.AsOf
	return out, nil
}

// build makes the table of what was folded.
func (f *folded) build(name Name) (*Table, error) {
	if f.table == nil {
		return nil, notThere(fmt.Sprintf("table %s was %s by then", name, f.ended))
	}
	out := &Table{Name: name, Columns: f.table.Columns, Key: f.table.description.Key, Vague: f.vague || f.table.Keyless,
		rows: make([]Row, 0, len(f.rows))}
	for stream, r := range f.rows {
		row, err := f.table.present(stream, r)
		if err != nil {
			return nil, err
		}
		out.rows = append(out.rows, row)
	}
	less := f.table.keyOrder()
	slices.SortFunc(out.rows, func(a, b Row) int { return less(a.Key, b.Key) })
	return out, nil
}

// present returns a row under the columns that the table has now.
func (t *table) present(stream string, r foldedRow) (Row, error) {
	values, _, err := known{after: r.after, table: r.table}.as(t)
	if err != nil {
		return Row{}, err
	}
	row := Row{Stream: stream, Values: make([]*string, len(values))}
	for i, v := range values {
		if !v.null {
			text := string(v.text)
			row.Values[i] = &text
		}
	}
	for _, k := range t.key {
		key := ""
		if v := row.Values[k]; v != nil {
			key = *v
		}
		row.Key = append(row.Key, key)
	}
	return row, nil
}

// keyOrder compares keys.
func (t *table) keyOrder() func(a, b []string) int {
	numbers := make([]bool, len(t.key))
	for i, k := range t.key {
		switch t.Columns[k].Type {
		case "smallint", "integer", "bigint":
			numbers[i] = true
		}
	}
	return func(a, b []string) int {
		for i := range numbers {
			c := 0
			if numbers[i] {
				x, _ := strconv.ParseInt(a[i], 10, 64)
				y, _ := strconv.ParseInt(b[i], 10, 64)
				c = cmp.Compare(x, y)
			}
			if c = cmp.Or(c, cmp.Compare(a[i], b[i])); c != 0 {
				return c
			}
		}
		return 0
	}
}

func sortNames(list []Name) {
	slices.SortFunc(list, func(a, b Name) int { return cmp.Compare(a.String(), b.String()) })
}
