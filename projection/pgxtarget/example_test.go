package pgxtarget_test

import (
	"context"
	"fmt"
	"log"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/pgxtarget"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Levels is what is there of each item.
var Levels = projection.New("levels",
	projection.On(func(ctx context.Context, tx pgx.Tx, e Moved, _ projection.Envelope) error {
		_, err := tx.Exec(ctx, `INSERT INTO `+projection.At(ctx, "levels")+` AS l (sku, quantity) VALUES ($1, $2)
			ON CONFLICT (sku) DO UPDATE SET quantity = l.quantity + excluded.quantity`, e.SKU, e.Quantity)
		return err
	}),
).Table("levels", `sku text PRIMARY KEY, quantity bigint NOT NULL`)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	server, err := pgserver.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	pool, err := pgxpool.New(ctx, server.URL("postgres"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	db := annals.New(memstore.New(nil), nil)

	runner, err := Levels.Open(ctx, db, pgxtarget.New(pool), nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	receipt, err := db.Update(ctx, func(tx *annals.Tx) error { return tx.Append(Moved{"tea", 7}) })
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Wait(ctx, receipt.Last); err != nil {
		log.Fatal(err)
	}
	var quantity int
	if err := pool.QueryRow(ctx, `SELECT quantity FROM levels WHERE sku = 'tea'`).Scan(&quantity); err != nil {
		log.Fatal(err)
	}
	fmt.Println(quantity)
	stop()
	<-ended
	// Output: 7
}
