package main

import (
	"context"
	"database/sql"
	"path/filepath"

	"github.com/annals-db/annals/projection"
	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"
)

// overview is the read model: a table of orders in SQLite.
var overview = projection.New("overview",
	projection.On(func(ctx context.Context, tx *sql.Tx, e OrderPlaced, env projection.Envelope) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "orders")+` (id, item, total, status, note) VALUES (?, ?, ?, 'placed', '')`, e.Order, e.Item, e.Total)
		return err
	}),
	projection.On(func(ctx context.Context, tx *sql.Tx, e OrderPaid, env projection.Envelope) error {
		return setStatus(ctx, tx, e.Order, "paid", "")
	}),
	projection.On(func(ctx context.Context, tx *sql.Tx, e OrderShipped, env projection.Envelope) error {
		return setStatus(ctx, tx, e.Order, "shipped", "parcel "+e.Parcel)
	}),
	projection.On(func(ctx context.Context, tx *sql.Tx, e OrderCancelled, env projection.Envelope) error {
		return setStatus(ctx, tx, e.Order, "cancelled", e.Reason)
	}),
).Table("orders", `id TEXT PRIMARY KEY, item TEXT NOT NULL, total INTEGER NOT NULL, status TEXT NOT NULL, note TEXT NOT NULL`)

func setStatus(ctx context.Context, tx *sql.Tx, order, status, note string) error {
	_, err := tx.ExecContext(ctx, `UPDATE `+projection.At(ctx, "orders")+` SET status = ?, note = ? WHERE id = ?`, status, note, order)
	return err
}

// openReadModel opens the database that the read model is in.
func openReadModel(dir string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+filepath.ToSlash(filepath.Join(dir, "overview.db"))+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
}
