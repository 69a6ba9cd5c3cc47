package sqlitestore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "annals-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	log, err := sqlitestore.Open(filepath.Join(dir, "shop.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	receipt, err := log.Append(ctx, driver.Batch{Events: []driver.Event{
		{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"quantity":10}`)},
	}})
	fmt.Println(receipt.First, receipt.Versions, receipt.Durability, err)

	var stream, data string
	err = log.DB().QueryRow(`SELECT stream, data FROM annals_events WHERE position = 1`).Scan(&stream, &data)
	fmt.Println(stream, data, err)
	// Output:
	// 1 [1] fsync <nil>
	// item-laptop {"quantity":10} <nil>
}

type stock struct {
	annals.Entity
	Quantity int
}

type stockMoved struct{ Quantity int }

var stocks = annals.NewModel("stock",
	annals.On(func(s *stock, e stockMoved) { s.Quantity += e.Quantity }),
)

// Events and a table of the application are committed together.
func ExampleStore_Update() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "annals-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlitestore.Open(filepath.Join(dir, "shop.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if _, err := store.DB().Exec(`CREATE TABLE quantities (item TEXT PRIMARY KEY, quantity INTEGER NOT NULL)`); err != nil {
		fmt.Println(err)
		return
	}

	if _, err := stocks.Add(ctx, annals.New(store, nil), "laptop", func(s *stock) error { return s.Record(stockMoved{0}) }); err != nil {
		fmt.Println(err)
		return
	}
	move := func(item string, n int) error {
		return store.Update(ctx, func(tx *sql.Tx, log driver.Log) error {
			db := annals.New(log, nil)
			if _, err := stocks.Update(ctx, db, item, func(s *stock) error {
				if s.Quantity+n < 0 {
					return fmt.Errorf("only %d of %s left", s.Quantity, item)
				}
				return s.Record(stockMoved{n})
			}); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO quantities VALUES (?1, ?2) ON CONFLICT (item) DO UPDATE SET quantity = quantity + ?2`, item, n)
			return err
		})
	}
	fmt.Println(move("laptop", 10))
	fmt.Println(move("laptop", -3))
	fmt.Println(move("laptop", -8))

	var quantity int
	err = store.DB().QueryRow(`SELECT quantity FROM quantities WHERE item = 'laptop'`).Scan(&quantity)
	fmt.Println(quantity, err)
	// Output:
	// <nil>
	// <nil>
	// only 7 of laptop left
	// 7 <nil>
}

// A hook keeps a table in step with the log, whoever appends through the store.
func ExampleStore_Inline() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "annals-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlitestore.Open(filepath.Join(dir, "shop.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if _, err := store.DB().Exec(`CREATE TABLE latest (stream TEXT PRIMARY KEY, type TEXT NOT NULL)`); err != nil {
		fmt.Println(err)
		return
	}
	remove := store.Inline(func(ctx context.Context, tx any, records []driver.Record) error {
		for _, r := range records {
			if r.Type == "Forbidden" {
				return fmt.Errorf("%s is not to be appended", r.Type)
			}
			if _, err := tx.(*sql.Tx).ExecContext(ctx, `INSERT OR REPLACE INTO latest VALUES (?, ?)`, r.Stream, r.Type); err != nil {
				return err
			}
		}
		return nil
	})
	defer remove()

	for _, typ := range []string{"ItemCreated", "Forbidden"} {
		_, err := store.Append(ctx, driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: "item-laptop", Type: typ}}})
		fmt.Println(err)
	}
	var latest string
	err = store.DB().QueryRow(`SELECT type FROM latest WHERE stream = 'item-laptop'`).Scan(&latest)
	fmt.Println(latest, err)
	// Output:
	// <nil>
	// Forbidden is not to be appended
	// ItemCreated <nil>
}
