package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	sqlite3 "github.com/ncruces/go-sqlite3"
	sqldriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// writer has the one connection that appends. Its goroutine takes all requests
// that wait and runs them in one transaction, so that one sync serves them all.
// A transaction of the caller ([Store.Update]) takes turns with it.
//
// What it knows of the log is good while no one else has appended; each
// transaction begins with a look at the head, under the lock that keeps others
// out.
type writer struct {
	s    *Store
	pool *sql.DB   // of the one connection
	sql  *sql.Conn // for hooks and callers' transactions
	c    *conn     // the same connection, for the writer's own statements
	turn chan struct{}

	insert, post, newKey, setKey, addTree *sqlite3.Stmt
	savepoint, release, rollbackTo        *sqlite3.Stmt
	saveState, deleteState, nextRevision  *sqlite3.Stmt

	loaded bool // what follows is as of the transaction under way
	head   driver.Position
	at     int64 // the head's time
	tree   *merkle.Range
	keys   map[keyName]*key
	dirty  []*key // whose count and last are not written yet
	undo   *undo  // nil unless a batch can be undone by itself

	pages     int // of the -wal file, as the last commit left them
	restartAt int // so many must there be for another try to begin it anew; 0 after one that succeeded

	mu       sync.Mutex
	wake     sync.Cond
	queue    []*request
	spare    []*request
	stopping bool
	room     chan struct{} // one slot for each request that is queued
	ended    chan struct{} // closed when the goroutine has ended; nil before it begins
}

const (
	maxQueued = 8192    // requests
	maxGroup  = 4096    // the weight of what shares a transaction
	maxKeys   = 1 << 17 // known at the beginning of a transaction
)

// newWriter opens the connection.
func newWriter(s *Store) (*writer, error) {
	w := &writer{s: s, turn: make(chan struct{}, 1), room: make(chan struct{}, maxQueued)}
	w.wake.L = &w.mu
	var err error
	w.pool, err = sqldriver.Open(name(s.file, "mode=rw"), func(c *sqlite3.Conn) error {
		if err := setUpApplication(c, s.opts.BusyTimeout); err != nil {
			return err
		}
		if err := setJournal(c); err != nil {
			return err
		}
		return c.Exec(fmt.Sprintf(`PRAGMA journal_size_limit = %d`, journalBytes))
	})
	if err != nil {
		return nil, err
	}
	w.pool.SetMaxOpenConns(1)
	if w.sql, err = w.pool.Conn(context.Background()); err != nil {
		return nil, errors.Join(err, w.pool.Close())
	}
	err = w.sql.Raw(func(c any) error {
		w.c = &conn{db: c.(sqldriver.Conn).Raw(), names: &resolver{}}
		w.c.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
			w.pages = pages
			return nil
		})
		return w.prepare()
	})
	if err != nil {
		return nil, errors.Join(err, w.disconnect())
	}
	return w, nil
}

func (w *writer) prepare() error {
	if err := w.c.prepare(); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&w.insert, `INSERT INTO annals_records (` + columns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&w.post, `INSERT INTO annals_postings (key, position, n) VALUES (?, ?, ?)`},
		{&w.newKey, `INSERT INTO annals_keys (kind, name, count, last) VALUES (?, ?, 0, 0)`},
		{&w.setKey, `UPDATE annals_keys SET count = ?, last = ? WHERE key = ?`},
		{&w.addTree, `INSERT INTO annals_tree (position, range) VALUES (?, ?)`},
		{&w.savepoint, `SAVEPOINT annals_batch`},
		{&w.release, `RELEASE annals_batch`},
		{&w.rollbackTo, `ROLLBACK TO annals_batch`},
		{&w.saveState, `INSERT INTO annals_state (name, revision, value) VALUES (?1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET revision = ?2, value = ?3`},
		{&w.deleteState, `DELETE FROM annals_state WHERE name = ?`},
		{&w.nextRevision, `UPDATE annals_log SET revision = revision + 1 RETURNING revision`},
	} {
		stmt, _, err := w.c.db.PrepareFlags(p.sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

func (w *writer) start() {
	w.ended = make(chan struct{})
	go w.run()
}

// enqueue queues r behind what is queued, and waits while too much is.
func (w *writer) enqueue(ctx context.Context, r *request) error {
	select {
	case w.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		<-w.room
		return driver.ErrClosed
	}
	w.queue = append(w.queue, r)
	if len(w.queue) == 1 {
		w.wake.Signal()
	}
	return nil
}

// take waits for requests and takes them all; none when the writer is to end.
func (w *writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.stopping {
		w.wake.Wait()
	}
	taken := w.queue
	w.queue, w.spare = w.spare[:0], taken
	for range taken {
		<-w.room
	}
	return taken
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		taken := w.take()
		if len(taken) == 0 {
			return
		}
		for len(taken) > 0 {
			n := 1
			for weight := taken[0].weight(); n < len(taken); n++ {
				if weight += taken[n].weight(); weight > maxGroup {
					break
				}
			}
			w.turn <- struct{}{}
			w.group(taken[:n])
			<-w.turn
			clear(taken[:n])
			taken = taken[n:]
		}
	}
}

// stop ends the goroutine, once everything queued is answered.
func (w *writer) stop() {
	w.mu.Lock()
	w.stopping = true
	w.wake.Signal()
	w.mu.Unlock()
	if w.ended != nil {
		<-w.ended
	}
}

// close closes the connection, once a transaction of the caller has ended.
func (w *writer) close() error {
	w.turn <- struct{}{}
	return w.disconnect()
}

// disconnect closes the connection.
func (w *writer) disconnect() error {
	err := w.sql.Raw(func(any) error {
		w.c.finalize()
		return nil
	})
	return errors.Join(err, w.sql.Close(), w.pool.Close())
}
