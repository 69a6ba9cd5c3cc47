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
	maxGroup  = 4096    // events in one transaction, if there are several batches
	maxKeys   = 1 << 17 // known at the beginning of a transaction
)

// newWriter opens the connection.
func newWriter(s *Store) (*writer, error) {
	w := &writer{s: s, turn: make(chan struct{}, 1), room: make(chan struct{}, maxQueued)}
	w.wake.L = &w.mu
	var err error
	w.pool, err = sqldriver.Open(name(s.path, "mode=rw"), func(c *sqlite3.Conn) error {
		if err := setUpApplication(c, s.opts.BusyTimeout); err != nil {
			return err
		}
		return setJournal(c)
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
			n, events := 1, len(taken[0].batch.Events)
			for n < len(taken) && events+len(taken[n].batch.Events) <= maxGroup {
				events += len(taken[n].batch.Events)
				n++
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

// group runs all in one transaction and answers them.
func (w *writer) group(all []*request) {
	taken := make([]*request, 0, len(all))
	for _, r := range all {
		if r.state.CompareAndSwap(requestQueued, requestTaken) {
			taken = append(taken, r)
		}
	}
	for len(taken) > 0 {
		culprit, err := w.try(taken)
		if culprit == nil {
			for _, r := range taken {
				if err != nil {
					r.receipt, r.err = driver.Receipt{}, err
				}
				close(r.done)
			}
			return
		}
		// A hook ended the transaction that it shares: its batch fails, the
		// others are tried again.
		rest := taken[:0]
		for _, r := range taken {
			if r != culprit {
				r.receipt, r.err = driver.Receipt{}, nil
				rest = append(rest, r)
			}
		}
		culprit.receipt = driver.Receipt{}
		close(culprit.done)
		taken = rest
	}
}

// try runs all in one transaction. An error fails them all, unless it names a
// culprit, who has its own error: then nothing was done.
func (w *writer) try(all []*request) (culprit *request, err error) {
	tx, err := w.begin()
	if err != nil {
		return nil, w.s.found("append to", err)
	}
	for _, r := range all {
		var err error
		if r.do != nil {
			r.err, err = r.do(w)
		} else {
			r.receipt, r.err, err = w.append(r.ctx, tx, r.batch)
		}
		if err != nil {
			w.abandon(tx)
			if errors.Is(err, errHookEnded) {
				return r, nil
			}
			return nil, w.s.found("append to", err)
		}
	}
	return nil, w.commit(tx)
}

// begin begins a transaction and brings what the writer knows up to date.
func (w *writer) begin() (*sql.Tx, error) {
	tx, err := w.sql.BeginTx(context.Background(), nil)
	if err != nil {
		w.forget()
		return nil, err
	}
	if err := w.refresh(); err != nil {
		w.abandon(tx)
		return nil, err
	}
	return tx, nil
}

// refresh takes in what others have appended.
func (w *writer) refresh() error {
	head, at, err := w.c.headOf()
	if err != nil {
		return corruption(w.head, err)
	}
	if w.loaded && head == w.head && len(w.keys) < maxKeys {
		return nil
	}
	if w.loaded && head < w.head {
		return &driver.CorruptError{Position: head + 1, Place: "annals_records", Reason: fmt.Sprintf("the log has gone back from position %d to %d", w.head, head)}
	}
	if !w.loaded {
		w.tree = nil
	}
	if w.tree, err = w.c.rangeAt(head, w.tree); err != nil {
		return err
	}
	w.head, w.at, w.loaded = head, at, true
	w.keys = map[keyName]*key{}
	return nil
}

// commit writes what is still to be written, commits, and lets readers know.
func (w *writer) commit(tx *sql.Tx) error {
	if err := w.flush(); err != nil {
		w.abandon(tx)
		return w.s.found("append to", err)
	}
	if err := tx.Commit(); err != nil {
		w.abandon(tx)
		return w.uncommitted(err)
	}
	w.s.publish(w.head)
	return nil
}

// uncommitted returns what a failed commit is to the callers. Where something
// could not be written, it was the mark that ends a transaction, as that comes
// last. After any other failure of the disk, such as one to sync, only opening
// the file again can tell.
func (w *writer) uncommitted(err error) error {
	if !errors.Is(err, sqlite3.IOERR) || unwritten(err) {
		return w.s.storeError("append to", err)
	}
	err = w.s.storeError("commit to", err)
	w.s.breakWith(err)
	return fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, err)
}

// abandon undoes the transaction and what the writer knows from it.
func (w *writer) abandon(tx *sql.Tx) {
	tx.Rollback() //nolint:errcheck // SQLite may have rolled back by itself
	if !w.c.db.GetAutocommit() {
		w.c.rollback.Exec() //nolint:errcheck // the next BEGIN says so
	}
	w.forget()
}

func (w *writer) forget() {
	w.loaded, w.keys, w.dirty, w.tree, w.undo = false, nil, nil, nil, nil
	w.c.names = &resolver{}
}
