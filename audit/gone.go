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
	for _, p := range places {
		// This may take long, and a server that hears nothing for wal_sender_timeout lets go.
		if err := s.confirm(ctx, false); err != nil {
			return err
		}
		var data []byte
		version := t
		if p.pending > 0 {
			data = pending[p.pending-1].Data
		} else {
			for r, err := range s.log.Read(ctx, driver.Query{}, driver.ReadOptions{After: p.position - 1, UpTo: p.position}) {
				if err != nil {
					return err
				}
				data, version = r.Data, s.state.lineage.at(t.stream, p.position)
			}
		}
		after, err := member(data, "after")
		if err != nil {
			return fmt.Errorf("row %s of the trail: %w", p.stream, err)
		}
		if version != t {
			row, _, err := known{bytes.Clone(after), version}.as(t)
			if err != nil {
				return err
			}
			if after, err = t.appendRow(nil, row, nil); err != nil {
				return err
			}
		}
		if !t.full() {
			s.rows.put(p.stream, known{table: t})
		}
		if err := s.tx.add(ctx, p.stream, typ, fmt.Appendf(nil, `{"before":%s}`, after)); err != nil {
			return err
		}
	}
	return nil
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
