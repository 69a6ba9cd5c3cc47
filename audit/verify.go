package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// VerifyOptions are what [Verify] may be told.
type VerifyOptions struct {
	// Wait is how long capture may take to reach the moment at which the live
	// tables are looked at. Defaults to 30 s.
	Wait time.Duration
	// Checked is told of each table that was compared. Defaults to nobody.
	Checked func(table Name, rows int)
}

// Mismatch is a row, or a table, that is not the same in the trail and in the live database.
type Mismatch struct {
	Table  Name     `json:"-"`
	Key    []string `json:"key"`              // nil of a table
	Column string   `json:"column,omitempty"` // "" of a whole row or table
	Trail  *string  `json:"trail"`            // its value, nil for NULL
	Live   *string  `json:"live"`
	// Reason is "values differ", "not in the live table", "not in the trail",
	// "columns differ" or "the live database has no such table".
	Reason string `json:"reason"`
}

// Verify compares tables, without any all of the trail, as rebuilt from the
// trail with the live ones, row by row, as they are at one moment, and yields what
// differs. Writers are not held up, and Capture may go on; it has to run, in
// this process or another, or to have taken everything up to now.
func (t *Trail) Verify(ctx context.Context, url string, tables []Name, o *VerifyOptions) iter.Seq2[Mismatch, error] {
	return func(yield func(Mismatch, error) bool) {
		var opts VerifyOptions
		if o != nil {
			opts = *o
		}
		if opts.Wait <= 0 {
			opts.Wait = 30 * time.Second
		}
		if opts.Checked == nil {
			opts.Checked = func(Name, int) {}
		}
		err := t.verify(ctx, url, tables, &opts, func(m Mismatch) bool { return yield(m, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(Mismatch{}, err)
		}
	}
}

// errStopped ends a verification that no one listens to any more.
var errStopped = errors.New("stopped")

func (t *Trail) verify(ctx context.Context, url string, tables []Name, o *VerifyOptions, found func(Mismatch) bool) error {
	conn, err := connect(ctx, url)
	if err != nil {
		return connectError(err)
	}
	defer shut(conn)
	v := &verification{trail: t, conn: conn, o: o, found: found}
	if err := v.database(ctx); err != nil {
		return err
	}
	if tables, err = v.begin(ctx, url, tables); err != nil {
		return err
	}
	for _, name := range tables {
		if err := v.table(ctx, name); err != nil {
			return fmt.Errorf("verify table %s: %w", name, err)
		}
	}
	return nil
}

// verification compares tables at the moment of a snapshot of the live database.
type verification struct {
	trail *Trail
	conn  *pgx.Conn
	o     *VerifyOptions
	found func(Mismatch) bool

	tx     pgx.Tx        // has the snapshot
	lsn    pglogrepl.LSN // everything that the snapshot shows was committed before
	skip   skipper       // the transactions up to lsn that the snapshot does not show
	gone   []Name        // those asked for that the snapshot does not have
	looked bool          // whether the slot was looked into
	at     driver.Position
}

// begin takes a moment at which to compare tables, without any all, waits until
// the trail has it, and returns those to compare.
func (v *verification) begin(ctx context.Context, url string, tables []Name) ([]Name, error) {
	now, err := v.trail.Tables(ctx, Point{})
	if err != nil {
		return nil, err
	}
	if len(tables) > 0 {
		if err := v.moment(ctx, tables); err != nil {
			return nil, err
		}
		for _, name := range v.gone {
			if !slices.Contains(now, name) {
				return nil, notThere(fmt.Sprintf("the trail has no table %s", name))
			}
		}
		return tables, v.captured(ctx, url)
	}
	// What the trail has now may be behind the moment: tables are renamed, dropped and added.
	for locked := now; ; locked = now {
		if err := v.moment(ctx, locked); err != nil {
			return nil, err
		}
		if err := v.captured(ctx, url); err != nil {
			return nil, err
		}
		if now, err = v.trail.tables(ctx, v.at, v.skip); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(now, func(n Name) bool { return !slices.Contains(locked, n) }) {
			return now, nil
		}
		if err := v.tx.Rollback(ctx); err != nil {
			return nil, err
		}
	}
}

// database looks whether the live database is that of the trail.
func (v *verification) database(ctx context.Context) error {
	var system, database string
	err := v.conn.QueryRow(ctx, "SELECT (SELECT system_identifier::text FROM pg_control_system()), current_database()::text").Scan(&system, &database)
	if err != nil {
		return fmt.Errorf("ask the server who it is: %w", err)
	}
	if began := v.trail.Started; system != began.System || database != began.Database {
		return &ForkedError{fmt.Sprintf("the trail is of database %q of the server with system identifier %s, this is %q of %s", began.Database, began.System, database, system)}
	}
	return nil
}

// moment takes a snapshot of the live database, in which tables stay as they are.
func (v *verification) moment(ctx context.Context, tables []Name) error {
	var err error
	if v.tx, err = v.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return err
	}
	// The locks keep the tables as the snapshot, which is taken after them, has them.
	v.gone = nil
	for _, name := range tables {
		err := pgx.BeginFunc(ctx, v.tx, func(tx pgx.Tx) error { // in a savepoint
			_, err := tx.Exec(ctx, "LOCK TABLE ONLY "+name.SQL()+" IN ACCESS SHARE MODE")
			return err
		})
		if vanished(err) {
			v.gone = append(v.gone, name)
		} else if err != nil {
			return fmt.Errorf("verify table %s: %w", name, err)
		}
	}
	var snapshot, lsn string
	err = v.tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text").Scan(&snapshot, &lsn)
	if err != nil {
		return fmt.Errorf("take a snapshot of the live database: %w", err)
	}
	if v.lsn, err = pglogrepl.ParseLSN(lsn); err != nil {
		return err
	}
	v.skip, err = unseen(snapshot)
	return err
}

// unseen returns which transactions a snapshot (xmin:xmax:xip,…) does not show.
// IDs in the trail have 32 bits; the trail is of the same server, and only
// its latest transactions can be unseen, so that they are compared modulo 2^32.
func unseen(snapshot string) (skipper, error) {
	parts := strings.Split(snapshot, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is not a snapshot", snapshot)
	}
	parse := func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		return uint32(n), err
	}
	xmin, err := parse(parts[0])
	if err != nil {
		return nil, err
	}
	xmax, err := parse(parts[1])
	if err != nil {
		return nil, err
	}
	running := map[uint32]bool{}
	for _, s := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }) {
		xid, err := parse(s)
		if err != nil {
			return nil, err
		}
		running[xid] = true
	}
	return func(text string) bool {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return false // not of a transaction
		}
		xid := uint32(n)
		if int32(xid-xmin) < 0 {
			return false
		}
		return int32(xid-xmax) >= 0 || running[xid]
	}, nil
}

// captured waits until the trail has everything up to the moment.
func (v *verification) captured(ctx context.Context, url string) error {
	conn, err := connect(ctx, url)
	if err != nil {
		return connectError(err)
	}
	defer shut(conn)
	if err := flushSoon(ctx, conn); err != nil {
		return err
	}
	for end := time.Now().Add(v.o.Wait); ; {
		b, err := v.trail.resolve(ctx, Point{})
		if err != nil {
			return err
		}
		st, err := readSlot(ctx, conn, v.trail.Started.Slot)
		if err != nil {
			return err
		}
		reached, err := b.mark.lsn()
		if err != nil {
			return err
		}
		if reached >= v.lsn || st.confirmed >= v.lsn || st.activePID == 0 && v.nothingMissing(ctx, conn) {
			// What was confirmed before is in the log now.
			b, err = v.trail.resolve(ctx, Point{})
			v.at = b.position
			return err
		}
		if time.Now().After(end) {
			running := "capture is running, but"
			if st.activePID == 0 {
				running = "capture is not running:"
			}
			return fmt.Errorf("%w: %s the trail is %d bytes of the server's log behind", driver.ErrUnavailable, running, int64(v.lsn)-int64(max(reached, st.confirmed)))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nothingMissing reports whether the slot, which nobody uses now, has nothing up
// to the moment that is not in the trail.
func (v *verification) nothingMissing(ctx context.Context, conn *pgx.Conn) bool {
	if v.looked {
		return false // nobody has moved it since
	}
	var n int
	err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1, $2::text::pg_lsn, 1, 'proto_version', '1', 'publication_names', $3, 'messages', 'true')",
		v.trail.Started.Slot, v.lsn.String(), quote(v.trail.Started.Publication)).Scan(&n)
	var pg *pgconn.PgError
	v.looked = !errors.As(err, &pg) || pg.Code != "55006" // that somebody uses it after all
	return err == nil && n == 0                           // else capture has to get there
}

// table compares one table.
func (v *verification) table(ctx context.Context, name Name) error {
	f, err := v.trail.fold(ctx, name, v.at, v.skip)
	if err != nil {
		return err
	}
	if f.table == nil {
		return notThere("the trail has it as " + f.ended)
	}
	if slices.Contains(v.gone, name) {
		if !v.found(Mismatch{Table: name, Reason: "the live database has no such table"}) {
			return errStopped
		}
		return nil
	}
	if f.vague {
		return fmt.Errorf("%w: the table was rewritten and is being read again; verify it when that is done", driver.ErrUnavailable)
	}
	d, err := describe(ctx, v.conn, name)
	if err != nil {
		return err
	}
	live, err := newTable(d)
	if err != nil {
		return err
	}
	if m, differs := columnsDiffer(name, f.table.Columns, live.Columns); differs {
		if !v.found(m) {
			return errStopped
		}
		return nil
	}
	return v.rows(ctx, name, f, live)
}

func columnsDiffer(name Name, trail, live []Column) (Mismatch, bool) {
	text := func(columns []Column) *string {
		var list []string
		for _, c := range columns {
			list = append(list, c.Name+" "+c.Type)
		}
		s := strings.Join(list, ", ")
		return &s
	}
	m := Mismatch{Table: name, Trail: text(trail), Live: text(live), Reason: "columns differ"}
	return m, *m.Trail != *m.Live
}

// rows compares row by row. f loses the rows that are in both.
func (v *verification) rows(ctx context.Context, name Name, f *folded, live *table) error {
	n := 0
	r := v.conn.PgConn().ExecParams(ctx, "SELECT "+live.columnList()+" FROM ONLY "+name.SQL(), nil, nil, nil, nil)
	for r.NextRow() {
		n++
		values := texts(r.Values())
		stream := live.rowStream(values)
		trail, there := f.rows[stream]
		delete(f.rows, stream)
		if err := v.row(name, f.table, stream, trail, there, live, values); err != nil {
			_, _ = r.Close()
			return err
		}
	}
	if _, err := r.Close(); err != nil {
		return err
	}
	for stream, left := range f.rows {
		row, err := f.table.present(stream, left)
		if err != nil {
			return err
		}
		if !v.found(Mismatch{Table: name, Key: row.Key, Reason: "not in the live table"}) {
			return errStopped
		}
	}
	v.o.Checked(name, n)
	return nil
}

func (v *verification) row(name Name, t *table, stream string, trail foldedRow, there bool, live *table, values []value) error {
	var key []string
	for _, k := range live.key {
		key = append(key, string(values[k].text))
	}
	if !there {
		if !v.found(Mismatch{Table: name, Key: key, Reason: "not in the trail"}) {
			return errStopped
		}
		return nil
	}
	row, err := t.present(stream, trail)
	if err != nil {
		return err
	}
	for i, is := range values {
		was := row.Values[i]
		if is.null && was == nil || !is.null && was != nil && *was == string(is.text) {
			continue
		}
		m := Mismatch{Table: name, Key: slices.Clone(key), Column: live.Columns[i].Name, Trail: was, Reason: "values differ"}
		if !is.null {
			text := string(is.text)
			m.Live = &text
		}
		if !v.found(m) {
			return errStopped
		}
	}
	return nil
}
