package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// databaseURL is that of a new database, where an application would have
// "postgres://app@db.example.com/shop".
func databaseURL() string {
	server := pgserver.Shared(&testing.B{})
	url, err := server.Create(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return url
}

func Example() {
	ctx := context.Background()
	log, err := pgstore.Open(ctx, databaseURL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()

	created := driver.Event{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"quantity":10}`)}
	receipt, err := log.Append(ctx, driver.Batch{
		Events:     []driver.Event{created},
		Conditions: []driver.Condition{driver.StreamAbsent("item-laptop")},
	})
	fmt.Println(receipt.First, receipt.Versions, receipt.Durability, err)

	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		fmt.Println(r.Position, r.Stream, r.Type, string(r.Data), err)
	}
	// Output:
	// 1 [1] fsync <nil>
	// 1 item-laptop ItemCreated {"quantity":10} <nil>
}

func ExampleStore_Update() {
	ctx := context.Background()
	log, err := pgstore.Open(ctx, databaseURL(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()

	var within *pgstore.TxLog
	err = log.Update(ctx, func(tx pgx.Tx, in *pgstore.TxLog) error {
		within = in
		if _, err := tx.Exec(ctx, `CREATE TABLE stock (item text PRIMARY KEY, quantity int)`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO stock VALUES ('laptop', 10)`); err != nil {
			return err
		}
		receipt, err := in.Append(ctx, driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated"}}})
		fmt.Println("before COMMIT:", receipt.First, receipt.Durability)
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipts, err := within.Receipts(ctx)
	fmt.Println("afterwards:", receipts[0].First, receipts[0].Versions, receipts[0].Durability, err)
	// Output:
	// before COMMIT: 0 waits for COMMIT
	// afterwards: 1 [1] fsync <nil>
}
