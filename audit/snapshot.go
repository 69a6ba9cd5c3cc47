package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// firstSnapshot makes the slot and reads the tables as they are at the moment from
// which the slot has every change. What an earlier one left is not used.
func (s *session) firstSnapshot(ctx context.Context) error {
	tables, err := published(ctx, s.sql, s.o.Publication)
	if err != nil {
		return err
	}
	for _, name := range tables {
		if err := capturable(ctx, s.sql, name); err != nil {
			return err
		}
	}
	if len(tables) == 0 {
		return &RefusedError{What: "publication " + s.o.Publication, Reason: "it has no tables", Mend: "annals audit init --tables … --apply"}
	}
	if err := s.announce(ctx, tables); err != nil {
		return err
	}
	slot, err := pglogrepl.CreateReplicationSlot(ctx, s.conn, quote(s.o.Slot), "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err != nil {
		return noSlot(err, s.o.Slot)
	}
	lsn, err := pglogrepl.ParseLSN(slot.ConsistentPoint)
	if err != nil {
		return err
	}
	s.o.Logger.Info("the first snapshot begins", "lsn", lsn.String(), "tables", len(tables))
	// A connection of its own, since the one of the slot must stay as it is.
	conn, err := connect(ctx, s.url)
	if err != nil {
		return connectError(err)
	}
	defer shut(conn)
	for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET TRANSACTION SNAPSHOT " + literal(slot.SnapshotName)} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("take the snapshot of the slot: %w", err)
		}
	}
	return s.snapshot(ctx, conn, tables, lsn)
}

// announce says which slot is going to be made, so that one that is found after an
// interruption is known to be ours, and removes what an interruption left.
func (s *session) announce(ctx context.Context, tables []Name) error {
	st, err := readSlot(ctx, s.sql, s.o.Slot)
	if err != nil {
		return err
	}
	if s.chain.version > 0 {
		if !st.exists {
			return nil
		}
		if st.activePID != 0 {
			return fmt.Errorf("%w: by server process %d", errSlotActive, st.activePID)
		}
		s.o.Logger.Info("the first snapshot was interrupted, and is begun anew")
		return pglogrepl.DropReplicationSlot(ctx, s.conn, quote(s.o.Slot), pglogrepl.DropReplicationSlotOptions{})
	}
	if st.exists {
		return &RefusedError{What: "slot " + s.o.Slot, Reason: "it is there already, and this log has no trail that it would go on with",
			Mend: fmt.Sprintf("name another slot, or SELECT pg_drop_replication_slot(%s) if nothing uses it", literal(s.o.Slot))}
	}
	m := s.state.peek(0, time.Time{})
	m.Slot, m.Publication, m.Tables = s.o.Slot, s.o.Publication, names(tables)
	if err := s.sql.QueryRow(ctx, "SELECT current_database()").Scan(&m.Database); err != nil {
		return fmt.Errorf("ask for the name of the database: %w", err)
	}
	s.state.started = m
	if err := s.chain.append(ctx, nil, captureStarted, m, nil, 0, nil); err != nil {
		return err
	}
	return s.chain.wait(ctx)
}

func names(tables []Name) []string {
	list := make([]string, len(tables))
	for i, n := range tables {
		list[i] = n.String()
	}
	return list
}

func noSlot(err error, slot string) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "55000":
			return &RefusedError{What: "the server", Reason: pg.Message, Mend: "ALTER SYSTEM SET wal_level = 'logical'; and restart the server"}
		case "53400":
			return &RefusedError{What: "the server", Reason: pg.Message, Mend: "ALTER SYSTEM SET max_replication_slots = …; and restart the server, or drop a slot that is not used"}
		case "42501":
			return &RefusedError{What: "the database user", Reason: pg.Message, Mend: "ALTER ROLE … REPLICATION"}
		}
	}
	return fmt.Errorf("make slot %q: %w", slot, err)
}

// snapshot reads the tables in parts, and closes them.
func (s *session) snapshot(ctx context.Context, conn *pgx.Conn, tables []Name, lsn pglogrepl.LSN) error {
	var at time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return fmt.Errorf("ask the server for the time: %w", err)
	}
	w := &snapshotWriter{s: s, group: fmt.Sprintf("snapshot-%s-v%d", lsn, s.chain.version), lsn: lsn, at: at.UTC()}
	begun := s.state.peek(0, time.Time{})
	begun.Group, begun.Tables = w.group, names(tables)
	if err := s.chain.append(ctx, nil, snapshotBegun, begun, []string{"group:" + w.group}, 0, func(r driver.Receipt) { w.first = r.First }); err != nil {
		return err
	}
	var known []*table
	for _, name := range tables {
		d, err := describe(ctx, conn, name)
		if err != nil {
			return err
		}
		t, err := newTable(d)
		if err != nil {
			return err
		}
		if err := w.add(ctx, t.stream, TableDescribed, mustJSON(d)); err != nil {
			return err
		}
		known = append(known, t)
		if err := w.table(ctx, conn, t); err != nil {
			return fmt.Errorf("read table %s: %w", name, err)
		}
	}
	if err := w.close(ctx); err != nil {
		return err
	}
	for _, t := range known {
		s.state.tables[t.stream] = t
		s.state.lineage.add(t.stream, w.first, t)
	}
	s.state.snapshot = true
	s.o.Logger.Info("the first snapshot is complete", "rows", w.total)
	return nil
}

// snapshotWriter writes the first snapshot.
type snapshotWriter struct {
	s      *session
	group  string
	lsn    pglogrepl.LSN
	at     time.Time
	first  driver.Position
	events []driver.Event
	bytes  int
	total  int
}

const (
	snapshotRows  = 1000
	snapshotBytes = 2 << 20
)

func (w *snapshotWriter) add(ctx context.Context, stream, typ string, data []byte) error {
	w.events = append(w.events, w.s.chain.event(stream, typ, data))
	w.bytes += len(data)
	w.total++
	if len(w.events) < min(snapshotRows, w.s.chain.limits.BatchEvents-1) && w.bytes < min(snapshotBytes, w.s.chain.limits.BatchBytes/2) {
		return nil
	}
	m := w.s.state.peek(0, time.Time{})
	m.Group = w.group
	return w.hand(ctx, snapshotPart, m, 0)
}

// hand appends what was gathered.
func (w *snapshotWriter) hand(ctx context.Context, typ string, m mark, end pglogrepl.LSN) error {
	md := driver.Metadata{{Key: "group", Value: w.group}, {Key: "lsn", Value: w.lsn.String()}}
	for i := range w.events {
		w.events[i].Metadata, w.events[i].Occurred = md, w.at
	}
	events := w.events
	w.events, w.bytes = nil, 0
	w.s.counts.events.Add(uint64(len(events)))
	return w.s.chain.append(ctx, events, typ, m, []string{"group:" + w.group}, end, nil)
}

// close ends the snapshot.
func (w *snapshotWriter) close(ctx context.Context) error {
	if err := w.s.chain.wait(ctx); err != nil {
		return err
	}
	m := w.s.state.next(w.lsn, w.lsn, w.at)
	m.Group, m.Events, m.First = w.group, w.total, w.first
	if err := w.hand(ctx, snapshotCompleted, m, w.lsn); err != nil {
		return err
	}
	return w.s.chain.wait(ctx)
}

// table reads the rows of a table.
func (w *snapshotWriter) table(ctx context.Context, conn *pgx.Conn, t *table) error {
	r := conn.PgConn().ExecParams(ctx, "SELECT "+t.columnList()+" FROM ONLY "+t.name.SQL(), nil, nil, nil, nil)
	for r.NextRow() {
		row := texts(r.Values())
		data, err := t.encode(RowFound, rowChange{after: row})
		if err == nil {
			err = w.add(ctx, t.rowStream(row), RowFound, data)
		}
		if err != nil {
			_, _ = r.Close()
			return err
		}
	}
	_, err := r.Close()
	return err
}

// columnList is what a query selects of t.
func (t *table) columnList() string {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = quote(c.Name)
	}
	return strings.Join(list, ", ")
}

// texts are the values of a row in text form, nil for NULL. They are valid until the next row is read.
func texts(values [][]byte) []value {
	row := make([]value, len(values))
	for i, v := range values {
		row[i] = value{text: v, null: v == nil}
	}
	return row
}
