package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// resent compares what the server sends again, since it was not told that it is
// in the log, with what is in the log. A database that was copied or restored
// and went another way has the same system identifier, and shows here.
type resent struct {
	expected map[pglogrepl.LSN]uint32 // transaction IDs by LSN
	lsn      pglogrepl.LSN            // of the transaction that is received
	xid      uint32
	changed  bool // it changed a table that was captured then
	done     bool
}

// expect reads what the server ought to send again.
func (r *resent) expect(ctx context.Context, s *session) error {
	var text string
	err := s.sql.QueryRow(ctx, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", s.o.Slot).Scan(&text)
	if err != nil {
		return fmt.Errorf("look at slot %q: %w", s.o.Slot, err)
	}
	confirmed, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return err
	}
	*r = resent{expected: map[pglogrepl.LSN]uint32{}}
	for rec, err := range s.log.Read(ctx, capture(transactionCommitted), driver.ReadOptions{Backward: true}) {
		if err != nil {
			return err
		}
		m, err := readMark(&rec)
		if err != nil {
			return err
		}
		lsn, err := m.lsn()
		if err != nil {
			return err
		}
		if lsn < confirmed {
			break
		}
		r.expected[lsn] = m.Xid
	}
	return nil
}

func (r *resent) begin(m *pglogrepl.BeginMessage) { r.lsn, r.xid, r.changed = m.FinalLSN, m.Xid, false }

// saw notes a message of the transaction.
func (r *resent) saw(s *session, m pglogrepl.Message) {
	var relation uint32
	switch m := m.(type) {
	case *pglogrepl.InsertMessage:
		relation = m.RelationID
	case *pglogrepl.UpdateMessage:
		relation = m.RelationID
	case *pglogrepl.DeleteMessage:
		relation = m.RelationID
	default:
		return
	}
	for _, t := range s.state.tables { // which may have another name by now
		if t.OID == relation && r.lsn >= s.state.from[relation] {
			r.changed = true
		}
	}
}

// commit judges the transaction.
func (r *resent) commit() error {
	xid, ok := r.expected[r.lsn]
	switch {
	case ok && xid != r.xid:
		return &ForkedError{fmt.Sprintf("at LSN %s the trail has transaction %d and the database %d", r.lsn, xid, r.xid)}
	case !ok && r.changed:
		return &ForkedError{fmt.Sprintf("the database has a transaction %d at LSN %s that the trail, which goes further, does not have", r.xid, r.lsn)}
	}
	delete(r.expected, r.lsn)
	return nil
}

// over is called when the server goes beyond what is in the log.
func (r *resent) over() error {
	if r.done {
		return nil
	}
	r.done = true
	for lsn, xid := range r.expected {
		return &ForkedError{fmt.Sprintf("the trail has a transaction %d at LSN %s that the database does not have", xid, lsn)}
	}
	r.expected = nil
	return nil
}
