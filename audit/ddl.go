package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// ddl is what the event trigger tells of a command.
type ddl struct {
	Table    uint32 // its OID
	Schema   string
	Name     string
	Command  string
	Query    string
	Columns  []Column
	Key      []string
	Identity string
}

// altered takes a command that made a table something else, or may have. The
// catalog is asked whether that is true if it shows the transaction.
func (s *session) altered(ctx context.Context, d *ddl, shown bool) error {
	var was *table
	for _, t := range s.state.tables {
		if t.OID == d.Table {
			was = t
		}
	}
	if was == nil {
		return nil // it is not captured; if it becomes so, its first change shows it
	}
	if d.Schema == "" || d.Name == "" || len(d.Columns) == 0 {
		return s.tx.odd("annals.ddl", errors.New("it describes no table"))
	}
	guarded := s.guarded.Load()
	if !guarded && shown {
		believed, err := s.borneOut(ctx, d, was)
		if err != nil {
			return err
		}
		if !believed {
			return s.tx.odd("annals.ddl", fmt.Errorf("nothing in the catalog bears it out that table %s was changed", was.name))
		}
	}
	name, seenBy := Name{d.Schema, d.Name}, "trigger"
	if d.Command == "" {
		seenBy = "catalog"
	}
	s.renamed(d.Table, name)
	if was.name != name {
		if err := s.retire(ctx, was, "it is now "+name.String()); err != nil {
			return err
		}
		if other := s.state.tables[name.Stream()]; other != nil { // what became of it was not believed
			if err := s.retire(ctx, other, "another table has its name"); err != nil {
				return err
			}
		}
	}
	now := description{Schema: d.Schema, Table: d.Name, OID: d.Table, Columns: d.Columns, Key: d.Key, Identity: d.Identity,
		Omitted: was.Omitted, SeenBy: seenBy, Command: d.Command, Query: text(&d.Query), Unproven: !guarded}
	if before := s.unnamed[d.Table]; before != nil {
		now.Query = text(new(before.query + "; " + d.Query))
	}
	err := s.keepKey(ctx, &now, was)
	if unnamed, ok := errors.AsType[*unnamedError](err); ok {
		unnamed.query = now.Query
		s.unnamed[d.Table] = unnamed
		return nil // a command that follows tells of the other key
	}
	if err != nil {
		return err
	}
	delete(s.unnamed, d.Table)
	if _, err := newTable(now); err != nil && !errors.As(err, new(*RefusedError)) {
		return s.tx.odd("annals.ddl", err)
	}
	// A default that is kept aside is told by the trigger, so that only what was
	// rewritten has to be read again.
	now.Reread = s.tx.rewritten[d.Table] || was.name != name || s.tx.rereads(was)
	if was.name != name {
		was = nil
	}
	t, err := s.redescribe(ctx, was, SchemaChanged, now)
	if err != nil {
		return err
	}
	if r := s.relations[d.Table]; r != nil && sameColumns(r.Columns, t.Columns) {
		s.relations[d.Table] = t // the stream may not describe it again
	}
	s.o.Logger.Info("a table was changed", "table", t.name.String(), "command", d.Command, "read again", t.Reread)
	return nil
}

// renamed puts the name of a table into what the stream said of it last: where
// its schema was renamed, the server does not describe it again.
func (s *session) renamed(oid uint32, name Name) {
	m := s.heard[oid]
	if m == nil || m.Namespace == name.Schema && m.RelationName == name.Table {
		return
	}
	now := *m
	now.Namespace, now.RelationName = name.Schema, name.Table
	s.heard[oid] = &now
	if s.pending[oid] != nil {
		s.pending[oid] = &now
	}
}

// keepKey lets a table that has lost its primary key keep its rows' names, if it
// has a key again by now: it was changed in more than one step.
func (s *session) keepKey(ctx context.Context, d *description, was *table) error {
	if len(d.Key) > 0 || was == nil {
		return nil
	}
	var keyless bool
	err := s.sql.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c WHERE c.oid = $1
		AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))`, d.OID).Scan(&keyless)
	if err != nil {
		return fmt.Errorf("look at table %s: %w", was.name, err)
	}
	if keyless {
		return nil // a table without a key is refused
	}
	var key []string
	for _, k := range was.key {
		for _, c := range d.Columns {
			if c.Number == was.Columns[k].Number {
				key = append(key, c.Name)
			}
		}
	}
	if len(key) < len(was.key) {
		return &unnamedError{&RefusedError{What: "table " + was.name.String(), Reason: "columns of its primary key were dropped, and rows changed before it had another, so that they have no names",
			table: was.name}, d.Query}
	}
	d.Key, d.Keyless = key, true
	return nil
}

// unnamedError is of a table that lost columns of its key in a command, and has
// another key by now. If no row changes in between, nothing is missing.
type unnamedError struct {
	*RefusedError
	query string
}

func (e *unnamedError) Unwrap() error { return e.RefusedError }

// rereads reports whether this transaction itself made t a table to be read again.
func (t *transaction) rereads(of *table) bool {
	for _, d := range t.described {
		if d.table == of {
			return of.Reread
		}
	}
	return false
}

// dropped takes a command that dropped a table. The catalog is asked whether
// that is true if it shows the transaction.
func (s *session) dropped(ctx context.Context, d *ddl, shown bool) error {
	for _, t := range s.state.tables {
		if t.OID != d.Table {
			continue
		}
		var there bool
		if err := s.sql.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1)", d.Table).Scan(&there); err != nil {
			return fmt.Errorf("look at table %s: %w", t.name, err)
		}
		if there && shown {
			return s.tx.odd("annals.drop", fmt.Errorf("table %s is there", t.name))
		}
		return s.retire(ctx, t, d.Command+": "+text(&d.Query))
	}
	return nil
}

// borneOut reports whether the catalog has it that a transaction changed a
// table, as a message says that anyone may have sent: the table is what the message says, and not
// what it was, or something of it was written by that transaction or later, or it is gone. Where the trail has
// the table as it is, no message of another change can still come, and so d becomes what it is.
func (s *session) borneOut(ctx context.Context, d *ddl, was *table) (bool, error) {
	var name Name
	var written bool
	err := s.sql.QueryRow(ctx, `
		SELECT n.nspname::text, c.relname::text, (SELECT bool_or(age(x.xmin) <= age($2::text::xid)) FROM (
		  SELECT xmin FROM pg_class WHERE oid = c.oid UNION ALL SELECT xmin FROM pg_attribute WHERE attrelid = c.oid
		  UNION ALL SELECT xmin FROM pg_attrdef WHERE adrelid = c.oid UNION ALL SELECT xmin FROM pg_index WHERE indrelid = c.oid
		  UNION ALL SELECT xmin FROM pg_constraint WHERE conrelid = c.oid) x)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`,
		d.Table, strconv.FormatUint(uint64(s.tx.xid), 10)).Scan(&name.Schema, &name.Table, &written)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return true, nil // it was dropped since, and the stream will tell
	case err != nil:
		return false, fmt.Errorf("look at table %s: %w", was.name, err)
	}
	is, err := s.describe(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	same := func(schema, table string, columns []Column, key []string, identity string) bool {
		return schema == is.Schema && table == is.Table && sameColumns(columns, is.Columns) && slices.Equal(key, is.Key) && identity == is.Identity
	}
	asSaid, asKnown := same(d.Schema, d.Name, d.Columns, d.Key, d.Identity), same(was.Schema, was.Table, was.Columns, was.Key, was.Identity)
	if written && asKnown && !asSaid {
		// There may have been a change that was taken back, and wrote rows.
		*d = ddl{Table: d.Table, Schema: is.Schema, Name: is.Table, Columns: is.Columns, Key: is.Key, Identity: is.Identity}
		s.tx.rewritten[d.Table] = true
	}
	return written || asSaid && !asKnown, nil
}

// retire ends a table, and every row of it.
func (s *session) retire(ctx context.Context, t *table, reason string) error {
	if err := s.rowsGone(ctx, t, RowTruncated); err != nil {
		return err
	}
	data := mustJSON(map[string]any{"schema": t.Schema, "table": t.Table, "reason": reason})
	if err := s.tx.add(ctx, t.stream, TableDropped, data); err != nil {
		return err
	}
	s.tx.described = append(s.tx.described, describedAt{stream: t.stream, event: s.tx.events[len(s.tx.events)-1].ID})
	delete(s.state.tables, t.stream)
	delete(s.state.rereads, t.stream)
	return nil
}

// truncated takes a truncate: every row of the tables has an event of it.
func (s *session) truncated(ctx context.Context, m *pglogrepl.TruncateMessage) error {
	for _, relation := range m.RelationIDs {
		t, err := s.tableOf(ctx, relation)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		if r := s.reread; r != nil && r.table.stream == t.stream {
			s.endReread() // what was read by now is gone, also rows that have no event yet; begin anew
		}
		before := s.tx.total
		if err := s.rowsGone(ctx, t, RowTruncated); err != nil {
			return err
		}
		data := fmt.Appendf(nil, `{"rows":%d,"cascade":%t,"restart_identity":%t}`, s.tx.total-before, m.Option&1 != 0, m.Option&2 != 0)
		if err := s.tx.add(ctx, t.stream, TableTruncated, data); err != nil {
			return err
		}
	}
	return nil
}
