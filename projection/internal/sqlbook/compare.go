package sqlbook

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Comparison is what two tables differ in.
type Comparison struct {
	RowsA, RowsB int
	OnlyA, OnlyB []string // columns
	Differing    int      // rows
	Rows         []Row    // the first of them
}

// Row is a row in which tables differ.
type Row struct {
	Key  string
	A, B map[string]any // the key and the columns that differ; all, and nil the other, where only one has the row
}

type column struct {
	name, kind string
	key        bool
}

// Compare compares the rows of two tables by their primary keys, and the
// columns that both have.
func (b *Book) Compare(ctx context.Context, ta, tb string, limit int) (Comparison, error) {
	var c Comparison
	ca, err := b.columns(ctx, ta)
	if err != nil {
		return c, err
	}
	cb, err := b.columns(ctx, tb)
	if err != nil {
		return c, err
	}
	var keys, rest []string
	for _, col := range ca {
		switch other := find(cb, col.name); {
		case other == nil:
			c.OnlyA = append(c.OnlyA, col.name)
		case col.key && other.key:
			keys = append(keys, col.name)
		default:
			rest = append(rest, col.name)
		}
		if other := find(cb, col.name); col.key && (other == nil || !other.key) {
			return c, fmt.Errorf("compare %s with %s: column %s is of the primary key of only one", ta, tb, col.name)
		}
	}
	for _, col := range cb {
		if find(ca, col.name) == nil {
			c.OnlyB = append(c.OnlyB, col.name)
		}
	}
	if len(keys) == 0 {
		return c, fmt.Errorf("compare %s with %s: they have no primary key to compare rows by", ta, tb)
	}
	if c.RowsA, err = b.count(ctx, ta); err != nil {
		return c, err
	}
	if c.RowsB, err = b.count(ctx, tb); err != nil {
		return c, err
	}
	return c, b.differing(ctx, &c, ta, tb, keys, rest, ca, limit)
}

func (b *Book) differing(ctx context.Context, c *Comparison, ta, tb string, keys, rest []string, kinds []column, limit int) error {
	value := func(side, name string) string {
		if k := find(kinds, name).kind; k == "json" || k == "xml" {
			return side + "." + quote(name) + "::text"
		}
		return side + "." + quote(name)
	}
	var fields, on, where, order []string
	for _, k := range keys {
		on = append(on, fmt.Sprintf("%s = %s", value("a", k), value("b", k)))
		order = append(order, fmt.Sprintf("coalesce(%s, %s)", value("a", k), value("b", k)))
	}
	for _, side := range []string{"a", "b"} {
		where = append(where, value(side, keys[0])+" IS NULL")
		for _, n := range slices.Concat(keys, rest) {
			fields = append(fields, value(side, n))
		}
	}
	for _, n := range rest {
		where = append(where, value("a", n)+" IS DISTINCT FROM "+value("b", n))
	}
	query := fmt.Sprintf("SELECT %s FROM %s a FULL JOIN %s b ON %s WHERE %s ORDER BY %s",
		strings.Join(fields, ", "), ta, tb, strings.Join(on, " AND "), strings.Join(where, " OR "), strings.Join(order, ", "))
	rows, err := b.query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	all := slices.Concat(keys, rest)
	for rows.Next() {
		if c.Differing++; c.Differing > limit {
			continue
		}
		values := make([]any, 2*len(all))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		c.Rows = append(c.Rows, row(all, len(keys), values))
	}
	return rows.Err()
}

// row makes a Row of the values of both sides.
func row(names []string, keys int, values []any) Row {
	a, b := values[:len(names)], values[len(names):]
	hasA, hasB := a[0] != nil, b[0] != nil
	var r Row
	var parts []string
	if hasA {
		r.A = map[string]any{}
	}
	if hasB {
		r.B = map[string]any{}
	}
	for i, n := range names {
		va, vb := plain(a[i]), plain(b[i])
		if i < keys {
			k := va
			if !hasA {
				k = vb
			}
			parts = append(parts, fmt.Sprint(k))
			continue
		}
		if hasA && hasB && va == vb {
			continue
		}
		if hasA {
			r.A[n] = va
		}
		if hasB {
			r.B[n] = vb
		}
	}
	r.Key = strings.Join(parts, ",")
	return r
}

// plain is a value as it can be shown and compared.
func plain(v any) any {
	if val, ok := v.(driver.Valuer); ok {
		if inner, err := val.Value(); err == nil {
			v = inner
		}
	}
	b, ok := v.([]byte)
	switch {
	case !ok:
		if v != nil && !simple(v) {
			return fmt.Sprint(v)
		}
		return v
	case utf8.Valid(b):
		return string(b)
	}
	return hex.EncodeToString(b)
}

func simple(v any) bool {
	switch v.(type) {
	case string, bool, int64, int32, int16, int, float64, float32:
		return true
	}
	return false
}

func (b *Book) columns(ctx context.Context, table string) ([]column, error) {
	rows, err := b.query(ctx, b.d.columns, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cols []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.key, &c.kind); err != nil {
			return nil, err
		}
		cols = append(cols, c)
	}
	if len(cols) == 0 && rows.Err() == nil {
		return nil, fmt.Errorf("there is no table %s", table)
	}
	return cols, rows.Err()
}

func (b *Book) count(ctx context.Context, table string) (n int, err error) {
	rows, err := b.query(ctx, "SELECT count(*) FROM "+table)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

func find(cols []column, name string) *column {
	for i := range cols {
		if cols[i].name == name {
			return &cols[i]
		}
	}
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
