package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

type hook = func(ctx context.Context, tx any, records []driver.Record) error

// hooks are the work that appends carry with them.
type hooks struct {
	mu  sync.Mutex // held while they run
	all []*hook
}

// Inline has hook called inside the transaction of every append through this
// handle, [Store.Update] included; tx is a *sql.Tx. See [driver.Inliner]. Each
// batch has a savepoint of its own, so a hook that fails fails its batch and
// none that shares the transaction. A hook must not end the transaction.
func (s *Store) Inline(hook func(ctx context.Context, tx any, records []driver.Record) error) (remove func()) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.all = append(slices.Clone(s.hooks.all), &hook)
	return func() {
		s.hooks.mu.Lock()
		defer s.hooks.mu.Unlock()
		s.hooks.all = slices.DeleteFunc(slices.Clone(s.hooks.all), func(h *func(context.Context, any, []driver.Record) error) bool { return h == &hook })
	}
}

// running returns the hooks, which stay the same until unlock is called.
func (h *hooks) running() (all []*hook, unlock func()) {
	h.mu.Lock()
	return h.all, h.mu.Unlock
}

// errHookEnded is of a hook that has ended the transaction it was given.
var errHookEnded = errors.New("a hook has ended the append's transaction")

// undo is what takes the writer back to before a batch.
type undo struct {
	head    driver.Position
	at      int64
	tree    *merkle.Range
	changed []change
	made    []keyName
}

type change struct {
	key *key
	was key
}

// addWith adds the batch and runs the hooks, all in a savepoint.
func (w *writer) addWith(ctx context.Context, tx *sql.Tx, hooks []*hook, b driver.Batch, at int64) (_ driver.Receipt, refusal, failure error) {
	if err := w.flush(); err != nil {
		return driver.Receipt{}, nil, err
	}
	if err := w.savepoint.Exec(); err != nil {
		return driver.Receipt{}, nil, err
	}
	w.undo = &undo{head: w.head, at: w.at, tree: w.tree.Clone()}
	receipt, records, err := w.add(b, at, true)
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return driver.Receipt{}, nil, err
	}
	// An interrupted statement would undo the whole transaction, so the end of
	// the append's context must not reach it.
	refusal = call(context.WithoutCancel(ctx), tx, hooks, records)
	switch {
	case w.c.db.GetAutocommit():
		return driver.Receipt{}, errors.Join(refusal, errHookEnded), errHookEnded
	case refusal != nil:
		return driver.Receipt{}, refusal, w.takeBack()
	}
	w.undo = nil
	return receipt, nil, w.release.Exec()
}

// call runs the hooks up to the first that fails.
func call(ctx context.Context, tx *sql.Tx, hooks []*hook, records []driver.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a hook of the append panicked: %v", p)
		}
	}()
	for _, h := range hooks {
		if err := (*h)(ctx, tx, records); err != nil {
			return err
		}
	}
	return nil
}

// takeBack undoes what was done since the savepoint.
func (w *writer) takeBack() error {
	u := w.undo
	w.undo = nil
	w.head, w.at, w.tree = u.head, u.at, u.tree
	for _, c := range slices.Backward(u.changed) {
		*c.key = c.was
	}
	for _, n := range u.made {
		delete(w.keys, n)
	}
	w.dirty = w.dirty[:0]
	w.c.names = &resolver{}
	if err := w.rollbackTo.Exec(); err != nil {
		return err
	}
	return w.release.Exec()
}
