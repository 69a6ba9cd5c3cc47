package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// relation takes the stream's description of a table that changes. Where it is
// not what the trail knows, no event trigger told, and so the table is described
// anew, and read again if its rows may have changed without a message.
func (s *session) relation(ctx context.Context, m *pglogrepl.RelationMessage) error {
	name := Name{m.Namespace, m.RelationName}
	if name.Schema == "annals" {
		s.relations[m.RelationID] = nil
		return nil
	}
	if s.state.isOut(name, m.RelationID) != nil {
		s.relations[m.RelationID] = nil
		return nil
	}
	was := s.state.tables[name.Stream()]
	if was != nil && was.OID != m.RelationID {
		if err := s.retire(ctx, was, "another table has its name"); err != nil {
			return err
		}
		was = nil
	}
	columns, err := s.columns(ctx, name, was, m)
	if err != nil {
		return err
	}
	identity := string(rune(m.ReplicaIdentity))
	if was != nil && sameColumns(was.Columns, columns) {
		if !identifies(m, was) {
			return unidentified(name)
		}
		if was.Identity != identity {
			d := was.description
			d.Identity = identity
			if was, err = newTable(d); err != nil {
				return err
			}
			s.state.tables[name.Stream()] = was
		}
		s.relations[m.RelationID] = was
		return nil
	}
	d, gone, err := s.look(ctx, name, was, m)
	if err != nil {
		return err
	}
	if err := s.keepKey(ctx, &d, was); err != nil {
		return err
	}
	d.OID, d.Columns, d.Identity, d.SeenBy, d.Command, d.Query = m.RelationID, columns, identity, "relation", "", ""
	d.Reread = was == nil || anew(was.Columns, columns)
	if was == nil {
		if !gone {
			if err := textForms(ctx, s.sql, name); err != nil {
				return ofTable(err, name)
			}
		}
		if err := s.supersede(ctx, m.RelationID, name); err != nil {
			return err
		}
	}
	for _, k := range d.Key {
		if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == k }) {
			return &RefusedError{What: "table " + name.String(), Reason: fmt.Sprintf("a change was made before it had the column %q of its primary key", k), table: name}
		}
	}
	t, err := s.redescribe(ctx, was, TableDescribed, d)
	if err != nil {
		return err
	}
	if !identifies(m, t) {
		return unidentified(name)
	}
	s.relations[m.RelationID] = t
	s.o.Logger.Warn("a table is not what the trail knew; without an event trigger its change is seen only now", "table", name.String(), "read again", d.Reread)
	return nil
}

// look returns what the catalog says of the table of a message, or, where it is
// gone, what is known of its key.
func (s *session) look(ctx context.Context, name Name, was *table, m *pglogrepl.RelationMessage) (d description, gone bool, err error) {
	d, err = s.describe(ctx, name)
	gone = errors.Is(err, pgx.ErrNoRows) || err == nil && d.OID != m.RelationID
	switch {
	case gone && was != nil:
		return was.description, true, nil
	case gone:
		// All that is known of its key is by which columns the server finds its rows.
		d = description{Schema: name.Schema, Table: name.Table, Keyless: true}
		for _, c := range m.Columns {
			if c.Flags&1 != 0 {
				d.Key = append(d.Key, c.Name)
			}
		}
		return d, true, nil
	}
	return d, false, err
}

// identifies reports whether the stream names rows by the key of t, or by all columns.
func identifies(m *pglogrepl.RelationMessage, t *table) bool {
	if m.ReplicaIdentity != 'i' {
		return true
	}
	for _, k := range t.key {
		if !slices.ContainsFunc(m.Columns, func(c *pglogrepl.RelationMessageColumn) bool { return c.Name == t.Columns[k].Name && c.Flags&1 != 0 }) {
			return false
		}
	}
	return true
}

func unidentified(name Name) error {
	return &RefusedError{What: "table " + name.String(), table: name,
		Reason: fmt.Sprintf("its replica identity is an index without its primary key, so that what changes before ALTER TABLE %s REPLICA IDENTITY FULL does not say of which row it is", name.SQL())}
}

// anew reports whether rows may have values that no message told: a column was
// added, or has another type.
func anew(was, is []Column) bool {
	for _, c := range is {
		same := false
		for _, w := range was {
			same = same || w.Number == c.Number && w.Type == c.Type
		}
		if !same {
			return true
		}
	}
	return false
}

// columns returns the columns that a message describes.
func (s *session) columns(ctx context.Context, name Name, was *table, m *pglogrepl.RelationMessage) ([]Column, error) {
	columns := make([]Column, len(m.Columns))
	same := was != nil && len(was.Columns) == len(columns)
	for i, c := range m.Columns {
		typ, err := s.typeName(ctx, c.DataType, c.TypeModifier)
		if err != nil {
			return nil, err
		}
		columns[i] = Column{Name: c.Name, Type: typ}
		same = same && was.Columns[i].Name == c.Name && was.Columns[i].Type == typ
	}
	if same {
		return was.Columns, nil
	}
	now, err := s.describe(ctx, name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	for i := range columns {
		columns[i].Number = 10_000 + i // until a description by number is seen
		known := now.Columns
		if was != nil {
			known = append(append([]Column{}, was.Columns...), known...)
		}
		for _, k := range known {
			if k.Name == columns[i].Name {
				columns[i].Number = k.Number
			}
		}
	}
	return columns, nil
}

// supersede ends a table whose place another takes: it was renamed.
func (s *session) supersede(ctx context.Context, oid uint32, name Name) error {
	for _, t := range s.state.tables {
		if t.OID == oid && t.name != name {
			return s.retire(ctx, t, "it is now "+name.String())
		}
	}
	return nil
}

// redescribe records what a table now is, as part of the transaction.
func (s *session) redescribe(ctx context.Context, was *table, typ string, d description) (*table, error) {
	if was != nil {
		// A rewrite ends that a value is kept aside, but rows of before had it.
		for i, c := range d.Columns {
			if old := was.column(c.Number); old != nil && c.Missing == nil {
				d.Columns[i].Missing = old.Missing
			}
		}
	}
	t, err := newTable(d)
	if err != nil {
		return nil, err
	}
	if was != nil && !sameKey(was, t) {
		// Its rows have other names from now on.
		if err := s.rowsGone(ctx, was, RowTruncated); err != nil {
			return nil, err
		}
		t.Reread = true
	}
	if was != nil && was.Keyless && !t.Keyless {
		t.Reread = true // of rows that shared a key the trail may have taken one for the other
	}
	if err := s.tx.add(ctx, t.stream, typ, mustJSON(t.description)); err != nil {
		return nil, err
	}
	s.tx.described = append(s.tx.described, describedAt{stream: t.stream, table: t, event: s.tx.events[len(s.tx.events)-1].ID})
	s.state.tables[t.stream] = t
	return t, nil
}

func sameKey(a, b *table) bool {
	if len(a.key) != len(b.key) {
		return false
	}
	for i := range a.key {
		if a.Columns[a.key[i]].Number != b.Columns[b.key[i]].Number {
			return false
		}
	}
	return true
}

// describe reads what a table is from the catalog.
func (s *session) describe(ctx context.Context, name Name) (description, error) {
	return describe(ctx, s.sql, name)
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// describe reads what a table is from the catalog, as it is at one moment;
// pgx.ErrNoRows if there is none.
func describe(ctx context.Context, q queryer, name Name) (d description, err error) {
	d = description{Schema: name.Schema, Table: name.Table, SeenBy: "catalog"}
	var columns []byte
	err = q.QueryRow(ctx, `
		SELECT c.oid::bigint, c.relreplident::text,
		  coalesce((SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, n)
		    JOIN pg_attribute a ON a.attnum = k.number
		    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid), '{}'),
		  coalesce((SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
		    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated <> ''), '{}'),
		  coalesce((SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'number', attnum) ORDER BY attnum)
		    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''), '[]')::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		name.Schema, name.Table).Scan(&d.OID, &d.Identity, &d.Key, &d.Omitted, &columns)
	if err == nil {
		err = json.Unmarshal(columns, &d.Columns)
	}
	if err != nil {
		return d, fmt.Errorf("look at table %s: %w", name, err)
	}
	return d, nil
}
