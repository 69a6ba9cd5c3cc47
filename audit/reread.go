package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// reread reads a table again, chunk by chunk in the order of its key, while the
// stream of changes goes on. A chunk is read at one moment; the server's place
// in its log just after is the watermark. Once the stream has passed it, every
// change that the chunk shows was received, so what is in the chunk is what a row is now if no event of
// the row came since the table was changed; of the others the events tell all,
// or all but values that were not sent. Those are in a chunk that shows the event's transaction.
type reread struct {
	table  *table // as it is described in the log now
	since  driver.Position
	first  bool // there was no such table in the trail before
	logger *slog.Logger
	chunks chan chunk
	next   chan struct{} // asks for the next chunk
	cancel context.CancelFunc
	ended  chan struct{}
	wait   *chunk          // read, and not yet passed by the stream
	again  map[string]bool // transactions whose values that were not sent are still to be found
}

// unshown has the table read once more, when the transaction is visible.
func (r *reread) unshown(xid uint32) { r.again[strconv.FormatUint(uint64(xid), 10)] = true }

// chunk is a part of a table.
type chunk struct {
	rows      [][]value
	table     *table // as it was when it was read
	watermark pglogrepl.LSN
	hidden    skipper // transactions that it does not show
	last      bool
	err       error
}

// rereadStep goes on with what is to be read again. It is called between transactions.
func (s *session) rereadStep(ctx context.Context) error {
	if s.reread == nil {
		for stream, since := range s.state.rereads {
			t := s.state.tables[stream]
			if t == nil {
				delete(s.state.rereads, stream)
				continue
			}
			s.beginReread(ctx, t, since, nil)
			break
		}
	}
	r := s.reread
	if r == nil {
		return nil
	}
	if now := s.state.tables[r.table.stream]; now != r.table || s.state.rereads[r.table.stream] != r.since {
		s.endReread() // the table was changed again, or is gone
		return nil
	}
	if r.wait == nil {
		select {
		case c := <-r.chunks:
			if c.err != nil {
				return s.rereadFailed(c.err)
			}
			r.wait = &c
		default:
			return nil
		}
	}
	if s.passed() < r.wait.watermark {
		return nil
	}
	c := r.wait
	r.wait = nil
	if !sameColumns(c.table.Columns, r.table.Columns) {
		s.endReread() // it was changed while it was read; begin anew with what it is
		return nil
	}
	if err := s.writeChunk(ctx, r, c); err != nil {
		return err
	}
	if !c.last {
		r.next <- struct{}{}
		return nil
	}
	return s.rereadDone(ctx, r)
}

// passed is up to where everything was received and handed over.
func (s *session) passed() pglogrepl.LSN { return max(s.received, s.state.end) }

// beginReread begins to read, once the transactions in shown are visible.
func (s *session) beginReread(ctx context.Context, t *table, since driver.Position, shown map[string]bool) {
	s.o.Logger.Info("a table is read again", "table", t.name.String())
	ctx, cancel := context.WithCancel(ctx)
	r := &reread{table: t, since: since, first: !s.state.lineage.before(t.stream, since), logger: s.o.Logger, again: map[string]bool{}, chunks: make(chan chunk), next: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
	s.reread = r
	go r.read(ctx, s.url, s.o.ChunkRows, shown)
}

func (s *session) endReread() {
	s.reread.close()
	s.reread = nil
}

func (r *reread) close() {
	r.cancel()
	<-r.ended
}

// rereadFailed tries again later what another change of the table may have stopped.
func (s *session) rereadFailed(err error) error {
	t := s.reread.table
	s.endReread()
	var pg *pgconn.PgError
	if vanished(err) && !s.triggered {
		delete(s.state.rereads, t.stream) // nothing in the stream is going to say that it was dropped
		return nil
	}
	if errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "42") && pg.Code != "42501" || strings.HasPrefix(pg.Code, "40")) {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // dropped; the stream will tell
	}
	return err
}

// writeChunk records the rows of a chunk of which no event tells.
func (s *session) writeChunk(ctx context.Context, r *reread, c *chunk) error {
	if err := s.chain.wait(ctx); err != nil {
		return err
	}
	streams := make([]string, len(c.rows))
	for i, row := range c.rows {
		streams[i] = r.table.rowStream(row)
	}
	told, err := s.toldSince(ctx, streams, r, c)
	if err != nil {
		return err
	}
	var events []driver.Event
	md := driver.Metadata{{Key: "lsn", Value: c.watermark.String()}}
	size := 0
	flush := func() error {
		if len(events) == 0 {
			return nil
		}
		m := s.state.peek(s.state.lsn, s.state.mark.AsOf)
		m.Table, m.First, m.Events, m.Committed = r.table.stream, r.since, len(events), s.state.mark.AsOf
		out := events
		events, size = nil, 0
		return s.chain.append(ctx, out, rereadChunk, m, []string{"reread:" + r.table.stream}, s.state.end, nil)
	}
	for i, row := range c.rows {
		if told[streams[i]] {
			continue
		}
		data, err := r.table.encode(RowReread, rowChange{after: row})
		if err != nil {
			return err
		}
		after, err := member(data, "after")
		if err != nil {
			return err
		}
		s.rows.put(streams[i], known{after: after, table: r.table})
		e := s.chain.event(streams[i], RowReread, data)
		e.Metadata, e.Occurred = md, s.state.mark.AsOf
		events, size = append(events, e), size+len(data)+room
		if len(events)+2 > s.chain.limits.BatchEvents || size > s.chain.limits.BatchBytes/2 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// toldSince returns of which rows an event since the table was changed tells
// all, or something that the chunk does not show yet.
func (s *session) toldSince(ctx context.Context, streams []string, r *reread, c *chunk) (map[string]bool, error) {
	told := map[string]bool{}
	if len(streams) == 0 {
		return told, nil
	}
	unsent := map[string]string{}
	q := driver.Query{Items: []driver.Item{{Streams: streams}}}
	for rec, err := range s.log.Read(ctx, q, driver.ReadOptions{After: r.since}) {
		if err != nil {
			return nil, err
		}
		if group := rec.Metadata.Value("group"); group != "" && s.state.abandoned[group] {
			continue
		}
		stale, err := member(rec.Data, "stale")
		if err != nil {
			return nil, err
		}
		delete(unsent, rec.Stream)
		told[rec.Stream] = stale == nil
		if xid := rec.Metadata.Value("xid"); stale != nil && c.hidden(xid) {
			told[rec.Stream], unsent[rec.Stream] = true, xid
		}
	}
	for _, xid := range unsent {
		r.again[xid] = true
	}
	return told, nil
}

func (s *session) rereadDone(ctx context.Context, r *reread) error {
	s.endReread()
	if len(r.again) > 0 {
		s.beginReread(ctx, r.table, r.since, r.again)
		return nil
	}
	delete(s.state.rereads, r.table.stream)
	m := s.state.peek(s.state.lsn, s.state.mark.AsOf)
	m.Table, m.First = r.table.stream, r.since
	s.o.Logger.Info("a table was read again", "table", r.table.name.String())
	if err := s.chain.append(ctx, nil, rereadCompleted, m, []string{"reread:" + r.table.stream}, s.state.end, nil); err != nil {
		return err
	}
	return s.chain.wait(ctx)
}

// read reads chunks, each when it is asked for.
func (r *reread) read(ctx context.Context, url string, size int, shown map[string]bool) {
	defer close(r.ended)
	send := func(c chunk) bool {
		select {
		case r.chunks <- c:
			return c.err == nil
		case <-ctx.Done():
			return false
		}
	}
	conn, err := connect(ctx, url)
	if err != nil {
		send(chunk{err: connectError(err)})
		return
	}
	defer shut(conn)
	err = visible(ctx, conn, shown)
	if err == nil && r.first {
		err = r.writersBefore(ctx, conn)
	}
	if err != nil {
		send(chunk{err: fmt.Errorf("read table %s: %w", r.table.name, err)})
		return
	}
	var after []value
	for {
		c, err := readChunk(ctx, conn, r.table, after, size)
		if err != nil {
			send(chunk{err: fmt.Errorf("read table %s again: %w", r.table.name, err)})
			return
		}
		if !send(c) || c.last {
			return
		}
		after = c.rows[len(c.rows)-1]
		select {
		case <-r.next:
		case <-ctx.Done():
			return
		}
	}
}

// readChunk reads the rows behind after, which is nil for the first ones.
func readChunk(ctx context.Context, conn *pgx.Conn, t *table, after []value, size int) (c chunk, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// The lock keeps the table as it is described; it is given before the snapshot is taken.
		if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+t.name.SQL()+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
		d, err := describe(ctx, tx, t.name)
		if err != nil {
			return err
		}
		if d.OID != t.OID {
			return fmt.Errorf("another table has its name: %w", pgx.ErrNoRows)
		}
		if c.table, err = newTable(d); err != nil {
			return err
		}
		if c.hidden, err = hidden(ctx, tx); err != nil {
			return err
		}
		c.rows, err = chunkRows(ctx, tx.Conn(), c.table, t, after, size)
		return err
	})
	if err != nil {
		return c, err
	}
	c.last = len(c.rows) < size
	var text string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&text); err != nil {
		return c, err
	}
	if c.watermark, err = pglogrepl.ParseLSN(text); err != nil {
		return c, err
	}
	return c, flushSoon(ctx, conn)
}

// chunkRows selects by the key that was, so that a key that is not there any more is an error.
func chunkRows(ctx context.Context, conn *pgx.Conn, now, was *table, after []value, size int) ([][]value, error) {
	var key, params []string
	var args [][]byte
	for i, k := range was.key {
		key = append(key, quote(was.Columns[k].Name))
		params = append(params, fmt.Sprintf("$%d::%s", i+1, was.Columns[k].Type))
		if after != nil {
			args = append(args, after[k].text)
		}
	}
	order := strings.Join(key, ", ")
	sql := "SELECT " + now.columnList() + " FROM ONLY " + now.name.SQL()
	if after != nil {
		sql += fmt.Sprintf(" WHERE (%s) > (%s)", order, strings.Join(params, ", "))
	}
	sql += fmt.Sprintf(" ORDER BY %s LIMIT %d", order, size)
	r := conn.PgConn().ExecParams(ctx, sql, args, nil, nil, nil)
	var rows [][]value
	for r.NextRow() {
		row := texts(r.Values())
		for i := range row {
			row[i].text = bytes.Clone(row[i].text)
		}
		rows = append(rows, row)
	}
	_, err := r.Close()
	return rows, err
}
