package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
)

// Sold is an event.
type Sold struct {
	SKU      string
	Quantity int
}

func (e Sold) Tags() []string { return []string{"sku:" + e.SKU} }

// Sales is a table of what was sold.
var Sales = projection.New("sales",
	projection.On(func(ctx context.Context, tx *sql.Tx, e Sold, _ projection.Envelope) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO `+projection.At(ctx, "sales")+` (sku, quantity) VALUES (?, ?)
			ON CONFLICT (sku) DO UPDATE SET quantity = quantity + excluded.quantity`, e.SKU, e.Quantity)
		return err
	}),
).Table("sales", `sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL`)

func sell(ctx context.Context, db *annals.DB, sku string, n int) annals.Position {
	r, err := db.Update(ctx, func(tx *annals.Tx) error { return tx.Append(Sold{sku, n}) })
	if err != nil {
		log.Fatal(err)
	}
	return r.Last
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	read, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(filepath.Join(dir, "read.db"))+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		log.Fatal(err)
	}
	defer read.Close()
	db := annals.New(memstore.New(nil), nil)

	runner, err := Sales.Open(ctx, db, projection.SQLite(read), nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()

	sell(ctx, db, "tea", 3)
	last := sell(ctx, db, "tea", 4)
	if err := runner.Wait(ctx, last); err != nil { // read your own writes
		log.Fatal(err)
	}
	var quantity int
	if err := read.QueryRow(`SELECT quantity FROM sales WHERE sku = 'tea'`).Scan(&quantity); err != nil {
		log.Fatal(err)
	}
	fmt.Println("tea", quantity)
	stop()
	fmt.Println(<-ended)
	// Output:
	// tea 7
	// context canceled
}

// Bought is a document about a customer's favourites.
type Bought struct{ Times, Pieces int }

var bought = projection.NewCollection[Bought]("bought")

func ExampleDocuments() {
	ctx, stop := context.WithCancel(context.Background())
	db := annals.New(memstore.New(nil), nil)
	docs, err := projection.NewDocuments(db.Log())
	if err != nil {
		log.Fatal(err)
	}
	p := projection.New("bought",
		projection.On(func(_ context.Context, tx *projection.Docs, e Sold, _ projection.Envelope) error {
			return bought.Change(tx, e.SKU, func(b *Bought) { b.Times++; b.Pieces += e.Quantity })
		}),
	).Collections("bought")
	runner, err := p.Open(ctx, db, docs, nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	sell(ctx, db, "tea", 3)
	sell(ctx, db, "jam", 1)
	if err := runner.Wait(ctx, sell(ctx, db, "tea", 4)); err != nil {
		log.Fatal(err)
	}
	err = docs.View(ctx, func(tx *projection.Docs) error {
		for sku, b := range bought.All(tx) {
			fmt.Println(sku, b.Times, b.Pieces)
		}
		_, err := bought.Get(tx, "oil")
		fmt.Println(errors.Is(err, annals.ErrNotFound))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	stop()
	<-ended
	// Output:
	// jam 1 1
	// tea 2 7
	// true
}

func ExampleMemory() {
	ctx, stop := context.WithCancel(context.Background())
	db := annals.New(memstore.New(nil), nil)
	type totals struct{ Pieces int }
	total := projection.NewMemory[totals](db.Log(), nil, nil)
	p := projection.New("total", projection.On(func(_ context.Context, s *totals, e Sold, _ projection.Envelope) error {
		s.Pieces += e.Quantity
		return nil
	}))
	runner, err := p.Open(ctx, db, total, nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	if err := runner.Wait(ctx, sell(ctx, db, "tea", 4)); err != nil {
		log.Fatal(err)
	}
	total.View(func(s *totals) { fmt.Println(s.Pieces) })
	stop()
	<-ended
	// Output: 4
}
