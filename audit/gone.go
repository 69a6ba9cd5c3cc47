package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
)

// place is where the last event of a row is: in the log, or in the transaction
// that is being gathered.
type place struct {
	stream   string
	position driver.Position
	pending  int // 1 and up: of the transaction's events; 0: in the log
}

// rowsGone records that every row of a table is gone, by an event of type typ.
func (s *session) rowsGone(ctx context.Context, t *table, typ string) error {
	places, err := s.live(ctx, t)
	if err != nil {
		return err
	}
	pending := slices.Clone(s.tx.events) // a part may be written meanwhile
	for len(places) > 0 {
		n := 1
		var data [][]byte
		if p := places[0]; p.pending > 0 {
			data = [][]byte{pending[p.pending-1].Data}
		} else if data, err = s.lastEvents(ctx, t, places); err != nil {
			return err
		} else {
			n = len(data)
		}
		for i, p := range places[:n] {
			// This may take long, and a server that hears nothing for wal_sender_timeout lets go.
			if err := s.confirm(ctx, false); err != nil {
				return err
			}
			if err := s.rowGone(ctx, t, typ, p, data[i]); err != nil {
				return err
			}
		}
		places = places[n:]
	}
	return nil
}

// goneBytes is how much of the last events is read at once.
const goneBytes = 4 << 20

// lastEvents returns the data of the events at the first of places, which are
// in the log: of as many as fit into goneBytes, one at least. One by one they would each cost a
// way to the store and back.
func (s *session) lastEvents(ctx context.Context, t *table, places []place) (data [][]byte, err error) {
	size := 0
	q := driver.Query{Items: []driver.Item{{Category: t.stream}}}
	for r, err := range s.log.Read(ctx, q, driver.ReadOptions{After: places[0].position - 1}) {
		if err != nil {
			return nil, err
		}
		if err := s.confirm(ctx, false); err != nil {
			return nil, err
		}
		if r.Position != places[len(data)].position {
			continue
		}
		data, size = append(data, bytes.Clone(r.Data)), size+len(r.Data)
		if size > goneBytes || len(data) == len(places) || places[len(data)].pending > 0 {
			return data, nil
		}
	}
	return nil, fmt.Errorf("row %s of the trail: the store does not have its event at position %d any more", places[len(data)].stream, places[len(data)].position)
}

// rowGone records that a row, of whose last event data is, is gone.
func (s *session) rowGone(ctx context.Context, t *table, typ string, p place, data []byte) error {
	version := t
	if p.pending == 0 {
		version = s.state.lineage.at(t.stream, p.position)
	}
	after, err := member(data, "after")
	if err != nil {
		return fmt.Errorf("row %s of the trail: %w", p.stream, err)
	}
	if version != t {
		row, _, err := known{after: bytes.Clone(after), table: version}.as(t)
		if err != nil {
			return err
		}
		if after, err = t.appendRow(nil, row, nil); err != nil {
			return err
		}
	}
	s.rows.put(p.stream, known{table: t})
	return s.tx.add(ctx, p.stream, typ, fmt.Appendf(nil, `{"before":%s}`, after))
}

// live returns the rows that a table has by the trail, in the order of their last events.
func (s *session) live(ctx context.Context, t *table) ([]place, error) {
	if err := s.chain.wait(ctx); err != nil {
		return nil, err
	}
	last := map[string]place{}
	note := func(typ string, p place) {
		if typ == RowDeleted || typ == RowTruncated || typ == RowLeftOut {
			delete(last, p.stream)
		} else {
			last[p.stream] = p
		}
	}
	prefix := t.stream + "-"
	q := driver.Query{Items: []driver.Item{{Category: t.stream}}}
	for r, err := range s.log.Read(ctx, q, driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		if err := s.confirm(ctx, false); err != nil {
			return nil, err
		}
		if group := r.Metadata.Value("group"); strings.HasPrefix(r.Stream, prefix) && !s.state.abandoned[group] {
			note(r.Type, place{stream: r.Stream, position: r.Position})
		}
	}
	for i := range s.tx.events {
		if e := &s.tx.events[i]; strings.HasPrefix(e.Stream, prefix) {
			note(e.Type, place{stream: e.Stream, position: ^driver.Position(0), pending: i + 1})
		}
	}
	places := make([]place, 0, len(last))
	for _, p := range last {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(a.pending, b.pending))
	})
	return places, nil
}
