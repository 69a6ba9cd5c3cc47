// Package sqlbook keeps the books of projections in SQL tables: keys and values
// in one, and the tables of read models. [New] works on a transaction, whatever
// the library that it is reached by.
package sqlbook

import (
	"context"
	"database/sql"
)

// Conn is a transaction.
type Conn interface {
	Exec(ctx context.Context, query string, args ...any) error
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows are the rows of a query.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Book is the book of one transaction.
type Book struct {
	d *Dialect
	c Conn
}

// New returns the book of a transaction.
func New(d *Dialect, c Conn) *Book { return &Book{d, c} }

// Prepare makes the table of keys, unless it is there.
func (b *Book) Prepare(ctx context.Context) error { return b.exec(ctx, b.d.create) }

func (b *Book) exec(ctx context.Context, query string, args ...any) error {
	return b.c.Exec(ctx, b.d.parameters.Replace(query), args...)
}

func (b *Book) query(ctx context.Context, query string, args ...any) (Rows, error) {
	return b.c.Query(ctx, b.d.parameters.Replace(query), args...)
}

// Load returns the value under key, nil if there is none.
func (b *Book) Load(ctx context.Context, key string) ([]byte, error) {
	return b.value(ctx, `SELECT value FROM annals_projections WHERE key = $1`, key)
}

// Lock is Load, and keeps others from locking key until the transaction ends.
func (b *Book) Lock(ctx context.Context, key string) ([]byte, error) {
	value, err := b.value(ctx, b.d.lock, key)
	if err != nil || value != nil {
		return value, err
	}
	err = b.exec(ctx, `INSERT INTO annals_projections (key, value) VALUES ($1, '') ON CONFLICT (key) DO NOTHING`, key)
	if err != nil {
		return nil, err
	}
	return b.value(ctx, b.d.lock, key)
}

// value returns the one value of a query, nil for none and an empty one.
func (b *Book) value(ctx context.Context, query, key string) ([]byte, error) {
	rows, err := b.query(ctx, query, key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var value string
	if rows.Next() {
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil || value == "" {
		return nil, err
	}
	return []byte(value), nil
}

// Save keeps value under key.
func (b *Book) Save(ctx context.Context, key string, value []byte) error {
	return b.exec(ctx, `INSERT INTO annals_projections (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, string(value))
}

// Delete removes key.
func (b *Book) Delete(ctx context.Context, key string) error {
	return b.exec(ctx, `DELETE FROM annals_projections WHERE key = $1`, key)
}

// List yields what has a key that begins with prefix, in order.
func (b *Book) List(ctx context.Context, prefix string, each func(key string, value []byte)) error {
	end := prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
	rows, err := b.query(ctx, `SELECT key, value FROM annals_projections WHERE key >= $1 AND key < $2 ORDER BY key`, prefix, end)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if value != "" {
			each(key, []byte(value))
		}
	}
	return rows.Err()
}

// Create makes a table, unless it is there.
func (b *Book) Create(ctx context.Context, table, columns string) error {
	return b.exec(ctx, "CREATE TABLE IF NOT EXISTS "+table+" ("+columns+")")
}

// Clear removes the rows of a table.
func (b *Book) Clear(ctx context.Context, table string) error {
	return b.exec(ctx, "DELETE FROM "+table)
}

// Drop removes a table.
func (b *Book) Drop(ctx context.Context, table string) error {
	return b.exec(ctx, "DROP TABLE IF EXISTS "+table)
}

// Show makes name a view of table; of an empty table, none.
func (b *Book) Show(ctx context.Context, name, table string) error {
	for _, q := range b.d.show(name, table) {
		if err := b.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

var _ Rows = (*sql.Rows)(nil)
