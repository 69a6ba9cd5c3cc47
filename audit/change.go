package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
)

// change takes one message of the stream of changes.
func (s *session) change(ctx context.Context, data []byte) error {
	m, err := pglogrepl.Parse(data)
	if err != nil {
		return fmt.Errorf("a message of the stream of changes: %w", err)
	}
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		if m.FinalLSN <= s.state.lsn {
			s.skipped = true
			s.resent.begin(m)
			return nil
		}
		if err := s.resent.over(); err != nil {
			return err
		}
		s.tx = s.begin(m.FinalLSN, m.Xid, m.CommitTime)
		return nil
	case *pglogrepl.CommitMessage:
		s.received = max(s.received, m.TransactionEndLSN)
		if s.skipped {
			s.skipped = false
			return s.resent.commit()
		}
		tx := s.tx
		s.tx = nil
		if tx == nil {
			return nil
		}
		if tx.total > 0 {
			s.counts.transactions.Add(1)
			s.counts.events.Add(uint64(tx.total))
			s.status.committed.Store(tx.committed.UnixNano())
		}
		return tx.commit(ctx, m.TransactionEndLSN)
	}
	if m, ok := m.(*pglogrepl.RelationMessage); ok {
		// What it is now is looked at when it next changes.
		delete(s.relations, m.RelationID)
		s.pending[m.RelationID], s.heard[m.RelationID] = m, m
		return nil
	}
	if s.tx == nil {
		if s.skipped {
			s.resent.saw(s, m)
		}
		return nil // of a transaction that is in the log, or a message outside of any
	}
	switch m := m.(type) {
	case *pglogrepl.InsertMessage:
		return s.inserted(ctx, m)
	case *pglogrepl.UpdateMessage:
		return s.updated(ctx, m)
	case *pglogrepl.DeleteMessage:
		return s.deleted(ctx, m)
	case *pglogrepl.TruncateMessage:
		return s.truncated(ctx, m)
	case *pglogrepl.LogicalDecodingMessage:
		if m.Transactional {
			return s.told(ctx, m)
		}
	}
	return nil
}

// told takes a message that someone sent, which set-up's functions do.
func (s *session) told(ctx context.Context, m *pglogrepl.LogicalDecodingMessage) error {
	switch m.Prefix {
	case "annals.actor", "annals.witness":
		return s.tx.says(m.Prefix, m.Content)
	case "annals.rewrite":
		var r struct{ Table uint32 }
		if err := json.Unmarshal(m.Content, &r); err != nil {
			return s.tx.odd(m.Prefix, err)
		}
		s.tx.rewritten[r.Table] = true
	case "annals.published":
		var p publication
		if err := json.Unmarshal(m.Content, &p); err != nil {
			return s.tx.odd(m.Prefix, err)
		}
		if p.Publication == s.o.Publication {
			return s.publishes(ctx, &p)
		}
	case "annals.ddl", "annals.drop":
		var d ddl
		if err := json.Unmarshal(m.Content, &d); err != nil {
			return s.tx.odd(m.Prefix, err)
		}
		shown, err := s.settled(ctx)
		if err != nil {
			return err
		}
		if m.Prefix == "annals.drop" {
			return s.dropped(ctx, &d, shown)
		}
		return s.altered(ctx, &d, shown)
	}
	return nil
}

// tableOf returns the captured table that a message is of, nil if it is not captured.
func (s *session) tableOf(ctx context.Context, relation uint32) (*table, error) {
	if unnamed := s.unnamed[relation]; unnamed != nil {
		return nil, unnamed
	}
	if m, ok := s.pending[relation]; ok {
		if _, err := s.settled(ctx); err != nil {
			return nil, err
		}
		if err := s.relation(ctx, m); err != nil {
			return nil, err
		}
		delete(s.pending, relation)
	}
	t, ok := s.relations[relation]
	if !ok {
		return nil, fmt.Errorf("a change of relation %d, which the stream has not described", relation)
	}
	return t, nil
}

// tuple returns the values of a row.
func (t *table) tuple(d *pglogrepl.TupleData) ([]value, error) {
	if len(d.Columns) != len(t.Columns) {
		return nil, fmt.Errorf("table %s: a row of %d columns, where %d are known", t.name, len(d.Columns), len(t.Columns))
	}
	row := make([]value, len(d.Columns))
	for i, c := range d.Columns {
		switch c.DataType {
		case 'n':
			row[i] = value{null: true}
		case 'u':
			row[i] = value{unchanged: true}
		case 't':
			row[i] = value{text: c.Data}
		default:
			return nil, fmt.Errorf("table %s: column %q comes in the form %q, which is not text", t.name, t.Columns[i].Name, c.DataType)
		}
	}
	return row, nil
}

func (s *session) inserted(ctx context.Context, m *pglogrepl.InsertMessage) error {
	t, err := s.tableOf(ctx, m.RelationID)
	if t == nil || err != nil {
		return err
	}
	row, err := t.tuple(m.Tuple)
	if err != nil {
		return err
	}
	return s.record(ctx, t, RowInserted, rowChange{after: row})
}

func (s *session) deleted(ctx context.Context, m *pglogrepl.DeleteMessage) error {
	t, err := s.tableOf(ctx, m.RelationID)
	if t == nil || err != nil {
		return err
	}
	row, err := t.tuple(m.OldTuple)
	if err != nil {
		return err
	}
	if m.OldTupleType == 'O' {
		return s.record(ctx, t, RowDeleted, rowChange{before: row})
	}
	was, _, err := s.before(ctx, t, row)
	if err != nil {
		return err
	}
	if was == nil {
		return s.record(ctx, t, RowDeleted, rowChange{before: row, keyOnly: true})
	}
	return s.record(ctx, t, RowDeleted, rowChange{before: was})
}

// before returns what the trail knows of the row with the key that row has.
func (s *session) before(ctx context.Context, t *table, row []value) (was []value, stale []string, err error) {
	v, err := s.rows.last(ctx, t.rowStream(row), t)
	if err != nil {
		return nil, nil, err
	}
	return v.as(t)
}

func (s *session) updated(ctx context.Context, m *pglogrepl.UpdateMessage) error {
	t, err := s.tableOf(ctx, m.RelationID)
	if t == nil || err != nil {
		return err
	}
	row, err := t.tuple(m.NewTuple)
	if err != nil {
		return err
	}
	var was []value
	var stale []string
	if m.OldTuple != nil {
		if was, err = t.tuple(m.OldTuple); err != nil {
			return err
		}
	}
	keyOnly := false // of was only the key is known
	if m.OldTupleType != 'O' {
		key := row
		if was != nil {
			key = was
		}
		sent := was
		if was, stale, err = s.before(ctx, t, key); err != nil {
			return err
		}
		if was == nil && sent != nil {
			was, keyOnly = sent, true
		}
	}
	var old []string // values that may not be what they are now
	for i := range row {
		if !row[i].unchanged {
			continue
		}
		name := t.Columns[i].Name
		if was == nil || keyOnly && !t.isKey(i) {
			if !s.awaited(t) {
				return fmt.Errorf("table %s: row %s: the value of column %q was not sent, since it did not change, and the trail does not know the row",
					t.name, t.rowStream(row), name)
			}
			row[i], old = value{null: true}, append(old, name)
			continue
		}
		row[i] = was[i]
		if slices.Contains(stale, name) {
			old = append(old, name)
		}
	}
	if was != nil && t.rowStream(was) != t.rowStream(row) {
		return s.moved(ctx, t, was, row, keyOnly, old)
	}
	if keyOnly {
		was = nil
	}
	return s.record(ctx, t, RowUpdated, rowChange{before: was, after: row, stale: old})
}

// awaited reports whether t is going to be read again, with the rows that the
// trail does not know yet.
func (s *session) awaited(t *table) bool {
	return s.state.rereads[t.stream] != 0 || s.tx.rereads(t)
}

// moved records a change of the key: one row goes and another comes.
func (s *session) moved(ctx context.Context, t *table, was, row []value, keyOnly bool, stale []string) error {
	err := s.record(ctx, t, RowDeleted, rowChange{before: was, keyOnly: keyOnly, movedTo: t.rowStream(row)})
	if err != nil {
		return err
	}
	return s.record(ctx, t, RowInserted, rowChange{after: row, movedFrom: t.rowStream(was), stale: stale})
}
