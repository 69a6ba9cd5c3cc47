package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/annals-db/annals/projection/internal/sqlbook"
)

// SQL is a target in a database that is reached by database/sql.
type SQL struct {
	db       *sql.DB
	dialect  *sqlbook.Dialect
	level    sql.IsolationLevel
	prepared atomic.Bool // the table of keys is there
}

var _ Target[*sql.Tx] = (*SQL)(nil)

// SQLite returns a target in a SQLite database, by any driver. Set its busy
// timeout and, best, its WAL mode when you open it: what waits for another
// process's transaction otherwise fails, and is tried again.
func SQLite(db *sql.DB) *SQL { return &SQL{db: db, dialect: sqlbook.SQLite} }

// Postgres returns a target in a PostgreSQL database. Its transactions are at
// READ COMMITTED whatever the database's default is: who has waited for a
// checkpoint must see what was done meanwhile.
func Postgres(db *sql.DB) *SQL {
	return &SQL{db: db, dialect: sqlbook.Postgres, level: sql.LevelReadCommitted}
}

// Keep runs fn in a transaction over the bookkeeping alone.
func (s *SQL) Keep(ctx context.Context, fn func(context.Context, Book) error) error {
	return s.Update(ctx, func(ctx context.Context, _ *sql.Tx, b Book) error { return fn(ctx, b) })
}

// Update runs fn in a transaction.
func (s *SQL) Update(ctx context.Context, fn func(context.Context, *sql.Tx, Book) error) error {
	if !s.prepared.Load() {
		var err error
		for range 3 { // of two that make it at once, one may fail
			err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
				return sqlbook.New(s.dialect, sqlConn{tx}).Prepare(ctx)
			})
			if err == nil || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("make the table annals_projections: %w", err)
		}
		s.prepared.Store(true)
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return fn(ctx, tx, s.Within(tx))
	})
}

// Within returns the book of a transaction that somebody else has begun.
func (s *SQL) Within(tx *sql.Tx) Book { return sqlBook{sqlbook.New(s.dialect, sqlConn{tx})} }

func (s *SQL) transact(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: s.level})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err = fn(ctx, tx)
	if err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", undo))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", sqlbook.Committed(err))
	}
	return nil
}

// sqlConn is a transaction as sqlbook sees it.
type sqlConn struct{ tx *sql.Tx }

func (c sqlConn) Exec(ctx context.Context, query string, args ...any) error {
	_, err := c.tx.ExecContext(ctx, query, args...)
	return err
}

func (c sqlConn) Query(ctx context.Context, query string, args ...any) (sqlbook.Rows, error) {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// sqlBook is a Book in SQL.
type sqlBook struct{ *sqlbook.Book }

func (b sqlBook) List(ctx context.Context, prefix string) ([]KeyValue, error) {
	var list []KeyValue
	err := b.Book.List(ctx, prefix, func(key string, value []byte) { list = append(list, KeyValue{key, value}) })
	return list, err
}

func (b sqlBook) Compare(ctx context.Context, live, next string, limit int) (Comparison, error) {
	c, err := b.Book.Compare(ctx, live, next, limit)
	if err != nil {
		return Comparison{}, err
	}
	out := Comparison{LiveRows: c.RowsA, NextRows: c.RowsB, OnlyLive: c.OnlyA, OnlyNext: c.OnlyB, Differing: c.Differing}
	for _, r := range c.Rows {
		out.Differences = append(out.Differences, Difference{r.Key, r.A, r.B})
	}
	return out, nil
}

// NewSQLBook returns the book of a transaction that conn is, for targets in
// PostgreSQL that are reached by other means than database/sql.
func NewSQLBook(conn sqlbook.Conn) Book { return sqlBook{sqlbook.New(sqlbook.Postgres, conn)} }
