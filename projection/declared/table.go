package declared

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/projection"
)

// table is a version whose states are rows.
type table struct {
	v        *Version
	postgres bool
}

func (t *table) projection() *projection.Projection[*sql.Tx] {
	key := `"` + t.v.keyColumn + `" TEXT PRIMARY KEY`
	var all strings.Builder
	all.WriteString(key)
	for _, c := range t.v.columns {
		kind := c.kind.sqlite
		if t.postgres {
			kind = c.kind.postgres
		}
		fmt.Fprintf(&all, `, "%s" %s`, c.name, kind)
	}
	return projection.New(t.v.Name, projection.OnRecord(t.v.query, t.handle)).
		Version(t.v.Version).By(t.v.order).Table(t.v.table, all.String())
}

// parameter is the n-th parameter of a statement, from 1.
func (t *table) parameter(n int) string {
	if t.postgres {
		return fmt.Sprintf("$%d", n)
	}
	return fmt.Sprintf("?%d", n)
}

// handle does to the row of the event's key what the fold says.
func (t *table) handle(ctx context.Context, tx *sql.Tx, r annals.Record) error {
	key, err := t.v.by(&r)
	if err != nil {
		return err
	}
	name := projection.At(ctx, t.v.table)
	state, err := t.read(ctx, tx, name, key)
	if err != nil {
		return err
	}
	next, err := t.v.step.Step(ctx, state, &r)
	if err != nil {
		return err
	}
	switch next := next.(type) {
	case nil:
		_, err = tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE "%s" = %s`, name, t.v.keyColumn, t.parameter(1)), key)
		return err
	case map[string]any:
		return t.write(ctx, tx, name, key, next)
	}
	return fmt.Errorf("position %d: %w", r.Position, wrong(next, "an object: the state of a row is one, or null to remove it"))
}

// read returns the row of a key as an object, without its NULLs.
func (t *table) read(ctx context.Context, tx *sql.Tx, name, key string) (map[string]any, error) {
	state := map[string]any{}
	dests := make([]any, len(t.v.columns))
	values := make([]func() (any, error), len(t.v.columns))
	names := make([]string, len(t.v.columns))
	for i, c := range t.v.columns {
		dests[i], values[i] = c.kind.from()
		names[i] = `"` + c.name + `"`
	}
	err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s FROM %s WHERE "%s" = %s`, strings.Join(names, ", "), name, t.v.keyColumn, t.parameter(1)), key).Scan(dests...)
	if errors.Is(err, sql.ErrNoRows) {
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	for i, c := range t.v.columns {
		v, err := values[i]()
		if err != nil {
			return nil, fmt.Errorf("column %s of %q: %w", c.name, key, err)
		}
		if v != nil {
			state[c.name] = v
		}
	}
	return state, nil
}

// write makes state the row of a key.
func (t *table) write(ctx context.Context, tx *sql.Tx, name, key string, state map[string]any) error {
	args := []any{key}
	names, parameters, sets := []string{`"` + t.v.keyColumn + `"`}, []string{t.parameter(1)}, []string{}
	known := 0
	for _, c := range t.v.columns {
		v, there := state[c.name]
		if there {
			known++
		}
		if v != nil {
			var err error
			if v, err = c.kind.to(v); err != nil {
				return fmt.Errorf("column %s of %q: %w", c.name, key, err)
			}
		}
		args = append(args, v)
		names = append(names, `"`+c.name+`"`)
		parameters = append(parameters, t.parameter(len(args)))
		sets = append(sets, fmt.Sprintf(`"%s" = excluded."%s"`, c.name, c.name))
	}
	if known < len(state) {
		for _, field := range slices.Sorted(maps.Keys(state)) {
			if !slices.ContainsFunc(t.v.columns, func(c column) bool { return c.name == field }) {
				return fmt.Errorf("the state of %q has a field %q, for which there is no column", key, field)
			}
		}
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s) ON CONFLICT ("%s") DO UPDATE SET %s`,
		name, strings.Join(names, ", "), strings.Join(parameters, ", "), t.v.keyColumn, strings.Join(sets, ", ")), args...)
	return err
}
