package sqlitestore

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
	"github.com/annals-db/annals/internal/wire"
)

// conn is one connection with the statements that reading needs, each
// prepared once. It is for one goroutine at a time.
type conn struct {
	db     *sqlite3.Conn
	names  *resolver // of keys
	hasher merkle.Hasher
	parser *wire.Parser

	begin, commit, rollback *sqlite3.Stmt
	head                    *sqlite3.Stmt // position, time
	record                  *sqlite3.Stmt
	scan, scanBack          *sqlite3.Stmt
	leaves                  *sqlite3.Stmt
	treeAt                  *sqlite3.Stmt
	timeAt                  *sqlite3.Stmt
	positionOf              *sqlite3.Stmt
	key, keyName            *sqlite3.Stmt
	tail, next, forth, back *sqlite3.Stmt // of postings
	has                     *sqlite3.Stmt
	state, stateNames       *sqlite3.Stmt
}

const columns = `position, leaf, id, batch, stream, version, type, time, occurred, encoding, tags, metadata, conditions, data`

// prepare prepares the statements of c.
func (c *conn) prepare() error {
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&c.begin, `BEGIN`},
		{&c.commit, `COMMIT`},
		{&c.rollback, `ROLLBACK`},
		{&c.head, `SELECT position, time FROM annals_records ORDER BY position DESC LIMIT 1`},
		{&c.record, `SELECT ` + columns + ` FROM annals_records WHERE position = ?`},
		{&c.scan, `SELECT ` + columns + ` FROM annals_records WHERE position > ? AND position <= ? ORDER BY position`},
		{&c.scanBack, `SELECT ` + columns + ` FROM annals_records WHERE position > ? AND position <= ? ORDER BY position DESC`},
		{&c.leaves, `SELECT position, leaf FROM annals_records WHERE position > ? AND position <= ? ORDER BY position`},
		{&c.treeAt, `SELECT position, range FROM annals_tree WHERE position <= ? ORDER BY position DESC LIMIT 1`},
		{&c.timeAt, `SELECT time FROM annals_records WHERE position = ?`},
		{&c.positionOf, `SELECT position FROM annals_records WHERE id = ?`},
		{&c.key, `SELECT key, count, last FROM annals_keys WHERE kind = ? AND name = ?`},
		{&c.keyName, `SELECT name FROM annals_keys WHERE key = ?`},
		{&c.tail, `SELECT position, n FROM annals_postings WHERE key = ? AND position <= ? ORDER BY position DESC LIMIT 1`},
		{&c.next, `SELECT position, n FROM annals_postings WHERE key = ? AND position > ? ORDER BY position LIMIT 1`},
		{&c.forth, `SELECT position, n FROM annals_postings WHERE key = ? AND position > ? ORDER BY position LIMIT ?`},
		{&c.back, `SELECT position, n FROM annals_postings WHERE key = ? AND position < ? ORDER BY position DESC LIMIT ?`},
		{&c.has, `SELECT 1 FROM annals_postings WHERE key = ? AND position = ?`},
		{&c.state, `SELECT revision, value FROM annals_state WHERE name = ?`},
		{&c.stateNames, `SELECT name FROM annals_state WHERE name >= ? ORDER BY name LIMIT 256`},
	} {
		stmt, _, err := c.db.PrepareFlags(p.sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	c.parser = wire.NewParser()
	return nil
}

// close closes the statements and the connection.
func (c *conn) close() error {
	c.finalize()
	return c.db.Close()
}

// finalize closes the statements.
func (c *conn) finalize() {
	for _, stmt := range slices.Collect(c.db.Stmts()) {
		stmt.Close() //nolint:errcheck // it says how the last run ended
	}
}

// each binds args, calls row for each row while it returns true, and resets
// stmt. Bytes that row looks at are valid until it returns.
func each(stmt *sqlite3.Stmt, row func() bool, args ...any) error {
	if err := bind(stmt, args...); err != nil {
		return err
	}
	for stmt.Step() && row() {
	}
	err := stmt.Err()
	if again := stmt.Reset(); err == nil {
		err = again
	}
	return err
}

// exec runs stmt, which returns no rows.
func exec(stmt *sqlite3.Stmt, args ...any) error {
	if err := bind(stmt, args...); err != nil {
		return err
	}
	return stmt.Exec()
}

func bind(stmt *sqlite3.Stmt, args ...any) error {
	for i, a := range args {
		var err error
		switch a := a.(type) {
		case nil:
			err = stmt.BindNull(i + 1)
		case int64:
			err = stmt.BindInt64(i+1, a)
		case driver.Position:
			err = stmt.BindInt64(i+1, int64(a))
		case uint64:
			err = stmt.BindInt64(i+1, int64(a))
		case int:
			err = stmt.BindInt(i+1, a)
		case kind:
			err = stmt.BindInt(i+1, int(a))
		case string:
			err = stmt.BindText(i+1, a)
		case []byte:
			err = stmt.BindBlob(i+1, a)
		default:
			err = fmt.Errorf("cannot bind a %T", a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// headOf returns the last position and its time, 0 if there is none.
func (c *conn) headOf() (p driver.Position, at int64, err error) {
	err = each(c.head, func() bool {
		p, at = driver.Position(c.head.ColumnInt64(0)), c.head.ColumnInt64(1)
		return true
	})
	return p, at, err
}

// within runs f inside a read transaction, so that all it reads is of one
// moment; inside the one under way, if there is one.
func (c *conn) within(f func() error) error {
	if !c.db.GetAutocommit() {
		return f()
	}
	if err := c.begin.Exec(); err != nil {
		return err
	}
	err := f()
	if end := c.commit.Exec(); err == nil {
		err = end
	}
	if !c.db.GetAutocommit() {
		c.rollback.Exec() //nolint:errcheck // err says what went wrong
	}
	return err
}

// name returns the file name of path as SQLite takes it. The files that SQLite
// makes beside it are for the same users.
func name(path string, params ...string) string {
	p := filepath.ToSlash(path)
	params = append(params, "modeof="+strings.ReplaceAll(url.QueryEscape(path), "+", "%20"))
	if filepath.VolumeName(path) != "" {
		p = "/" + p
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: p}).EscapedPath(), RawQuery: strings.Join(params, "&")}
	return u.String()
}

// dial opens a connection for reading the log.
func (s *Store) dial() (*conn, error) {
	mode := "mode=rw"
	if s.opts.ReadOnly {
		mode = "mode=ro"
	}
	db, err := sqlite3.Open(name(s.file, mode))
	if err != nil {
		return nil, err
	}
	c := &conn{db: db, names: &s.names}
	if err = c.setUp(s.opts.BusyTimeout); err == nil {
		err = c.prepare()
	}
	if err != nil {
		c.close() //nolint:errcheck // err says what went wrong
		return nil, err
	}
	return c, nil
}

func (c *conn) setUp(busy time.Duration) error {
	if err := c.db.BusyTimeout(busy); err != nil {
		return err
	}
	return c.db.Exec(`PRAGMA query_only = 1; PRAGMA trusted_schema = 0`)
}

// pool hands out connections for reading, and opens as many as are needed at
// once up to a bound.
type pool struct {
	slots chan struct{}
	idle  chan *conn
}

func newPool() pool {
	n := max(4, 2*runtime.GOMAXPROCS(0))
	return pool{make(chan struct{}, n), make(chan *conn, n)}
}

// use calls f with a connection.
func (s *Store) use(ctx context.Context, f func(c *conn) error) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	select {
	case s.pool.slots <- struct{}{}:
	case <-s.done:
		return driver.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.pool.slots }()
	if s.closed.Load() {
		return driver.ErrClosed
	}
	var c *conn
	select {
	case c = <-s.pool.idle:
	default:
		var err error
		if c, err = s.dial(); err != nil {
			return s.storeError("open", err)
		}
	}
	err := f(c)
	s.pool.idle <- c
	return err
}

// drain closes all connections, once those in use are given back.
func (p *pool) drain() (err error) {
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	for {
		select {
		case c := <-p.idle:
			if e := c.close(); err == nil {
				err = e
			}
		default:
			return err
		}
	}
}
