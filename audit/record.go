package audit

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
)

// rowChange is what an event of a row says.
type rowChange struct {
	before, after      []value // nil for none
	keyOnly            bool    // of before only the key is known
	stale              []string
	movedTo, movedFrom string
}

// record adds the event of a row to the transaction.
func (s *session) record(ctx context.Context, t *table, typ string, c rowChange) error {
	data, err := t.encode(typ, c)
	if err != nil {
		return err
	}
	key := c.after
	if key == nil {
		key = c.before
	}
	stream := t.rowStream(key)
	if r := s.reread; r != nil && r.table.stream == t.stream && len(c.stale) > 0 {
		r.unshown(s.tx.xid) // the part of the table where the row is now may have been read
	}
	k := known{table: t, stale: c.stale}
	if c.after != nil {
		if k.after, err = member(data, "after"); err != nil {
			return err
		}
	}
	s.rows.put(stream, k) // also where messages have all old values: they may not later
	return s.tx.add(ctx, stream, typ, data)
}

// encode returns the data of an event of a row.
func (t *table) encode(typ string, c rowChange) (b []byte, err error) {
	b = append(make([]byte, 0, 256), '{')
	if c.after != nil {
		b = append(b, `"after":`...)
		if b, err = t.appendRow(b, c.after, nil); err != nil {
			return nil, err
		}
	}
	var only func(int) bool
	switch {
	case typ == RowUpdated && c.before != nil:
		only = func(i int) bool { return !c.before[i].equal(c.after[i]) }
	case c.keyOnly:
		only = func(i int) bool { return t.isKey(i) }
	}
	if c.before != nil {
		b = append(comma(b), `"before":`...)
		if b, err = t.appendRow(b, c.before, only); err != nil {
			return nil, err
		}
	}
	if c.keyOnly || typ == RowUpdated && c.before == nil {
		b = append(comma(b), `"before_unknown":true`...)
	}
	text := func(name, v string) {
		if err == nil && v != "" {
			b = append(append(append(comma(b), '"'), name...), `":`...)
			b, err = jsontext.AppendQuote(b, v)
		}
	}
	text("moved_to", c.movedTo)
	text("moved_from", c.movedFrom)
	if len(c.stale) > 0 {
		b = append(append(comma(b), `"stale":`...), mustJSON(c.stale)...)
	}
	return append(b, '}'), err
}

func comma(b []byte) []byte {
	if len(b) > 1 {
		return append(b, ',')
	}
	return b
}

func (t *table) isKey(column int) bool {
	for _, k := range t.key {
		if k == column {
			return true
		}
	}
	return false
}
