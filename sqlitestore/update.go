package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/annals-db/annals/driver"
)

// Update runs fn inside a transaction of its own, which holds both what fn
// appends to log and what it writes by tx, to tables of the application in the
// same file: all of it is committed together when fn returns nil, or nothing.
// log is the log as the transaction sees it, so annals.New(log, nil) and the
// whole modelling API work on it. A conflict is an error of the append at once;
// nobody else sees anything before the commit, and what a receipt says is so
// from then on.
//
// While fn runs, other appends through any handle wait; those of this handle
// then share a transaction again. So fn should be short and must not append by
// the store itself, which would wait for ever. tx and log are for the goroutine
// of fn, and fn does not end tx. It runs once; an error of fn is returned as it
// is. When ctx has ended by the time fn returns, nothing is committed.
func (s *Store) Update(ctx context.Context, fn func(tx *sql.Tx, log driver.Log) error) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	if err := s.refusal(); err != nil {
		return err
	}
	w := s.writer
	select {
	case w.turn <- struct{}{}:
	case <-s.done:
		return driver.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-w.turn }()
	if s.closed.Load() {
		return driver.ErrClosed
	}
	tx, err := w.begin()
	if err != nil {
		return s.found("begin a transaction on", err)
	}
	log := &txLog{s: s, w: w, tx: tx}
	committed := false
	defer func() { // also if fn panics
		log.end()
		if !committed {
			w.abandon(tx)
		}
	}()
	if err := fn(tx, log); err != nil {
		return err
	}
	log.end()
	switch {
	case log.failed != nil:
		return s.found("append to", log.failed)
	case ctx.Err() != nil:
		return ctx.Err()
	case w.c.db.GetAutocommit():
		return errEndedByCaller
	}
	err = w.commit(tx)
	committed = err == nil
	w.checkpoint()
	return err
}

var (
	errEndedByCaller = errors.New("the transaction was ended by the function that was given it")
	errTxEnded       = errors.New("the transaction has ended")
)
