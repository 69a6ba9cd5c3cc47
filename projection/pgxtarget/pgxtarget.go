// Package pgxtarget keeps the read models of projections in PostgreSQL by way of
// pgx: their handlers get a pgx.Tx. Start with [New]; the rest is package
// projection.
package pgxtarget

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/internal/sqlbook"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Target is a PostgreSQL database that is reached by a pool of pgx.
type Target struct {
	pool     *pgxpool.Pool
	prepared atomic.Bool // the table of keys is there
}

var _ projection.Target[pgx.Tx] = (*Target)(nil)

// New returns a target in the database of pool, which stays the caller's to close.
func New(pool *pgxpool.Pool) *Target { return &Target{pool: pool} }

// Keep runs fn in a transaction over the bookkeeping alone.
func (t *Target) Keep(ctx context.Context, fn func(context.Context, projection.Book) error) error {
	return t.Update(ctx, func(ctx context.Context, _ pgx.Tx, b projection.Book) error { return fn(ctx, b) })
}

// Update runs fn in a transaction, at READ COMMITTED whatever the database's
// default is: who has waited for a checkpoint must see what was done meanwhile.
func (t *Target) Update(ctx context.Context, fn func(context.Context, pgx.Tx, projection.Book) error) error {
	if !t.prepared.Load() {
		var err error
		for range 3 { // of two that make it at once, one may fail
			err = t.transact(ctx, func(tx pgx.Tx) error {
				return sqlbook.New(sqlbook.Postgres, conn{tx}).Prepare(ctx)
			})
			if err == nil || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("make the table annals_projections: %w", err)
		}
		t.prepared.Store(true)
	}
	return t.transact(ctx, func(tx pgx.Tx) error { return fn(ctx, tx, t.Within(tx)) })
}

func (t *Target) transact(ctx context.Context, fn func(pgx.Tx) error) error {
	tx, err := t.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(tx); err != nil {
		undo, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		if failed := tx.Rollback(undo); failed != nil && !errors.Is(failed, pgx.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", failed))
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", sqlbook.Committed(err))
	}
	return nil
}

// Within returns the book of a transaction that somebody else has begun.
func (t *Target) Within(tx pgx.Tx) projection.Book { return projection.NewSQLBook(conn{tx}) }

// conn is a transaction as sqlbook sees it.
type conn struct{ tx pgx.Tx }

func (c conn) Exec(ctx context.Context, query string, args ...any) error {
	_, err := c.tx.Exec(ctx, query, args...)
	return err
}

func (c conn) Query(ctx context.Context, query string, args ...any) (sqlbook.Rows, error) {
	r, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

type rows struct{ pgx.Rows }

func (r rows) Close() error { r.Rows.Close(); return nil }
