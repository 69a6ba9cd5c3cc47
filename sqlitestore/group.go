package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
)

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
			w.checkpoint()
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
