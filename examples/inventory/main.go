// Command inventory keeps items in stock in a store, prints the notification
// log, and then an item as it is now and as it was.
//
//	go run ./examples/inventory
//	go run ./examples/inventory -store sqlite:inventory.db
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/stores"
)

// Item is folded from the events of its stream.
type Item struct {
	annals.Entity
	Name     string
	Quantity int
}

type ItemCreated struct {
	Name     string
	Quantity int
}
type QuantityIncreased struct{ Amount int }
type QuantityDecreased struct{ Amount int }

var Items = annals.NewModel("item",
	annals.On(func(i *Item, e ItemCreated) { i.Name, i.Quantity = e.Name, e.Quantity }),
	annals.On(func(i *Item, e QuantityIncreased) { i.Quantity += e.Amount }),
	annals.On(func(i *Item, e QuantityDecreased) { i.Quantity -= e.Amount }),
)

func (i *Item) Increase(n int) error { return i.Record(QuantityIncreased{n}) }

func (i *Item) Decrease(n int) error {
	if n > i.Quantity {
		return fmt.Errorf("only %d of %s left", i.Quantity, i.Name)
	}
	return i.Record(QuantityDecreased{n})
}

func main() {
	url := flag.String("store", "", "the `URL` of an empty store (default a new directory)")
	flag.Parse()
	if *url == "" {
		dir, err := os.MkdirTemp("", "inventory-")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("The store is in", dir)
		*url = "file:" + dir
	}
	if err := run(context.Background(), os.Stdout, *url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, url string) error {
	store, err := stores.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	if err := trade(ctx, db); err != nil {
		return err
	}

	page, err := db.Select(ctx, 1, 5)
	if err != nil {
		return err
	}
	for _, r := range page {
		fmt.Fprintln(out, r.Position, r.Time.Format(time.RFC3339Nano), r.Stream, r.Type, string(r.Data))
	}

	now := db.View(ctx)
	item, err := Items.Load(now, "laptop")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Now there are", item.Quantity)
	for version := item.Version() - 1; version > 0; version-- {
		past, err := Items.LoadVersion(now, "laptop", version)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "At version %d there were %d\n", version, past.Quantity)
	}
	return nil
}

// trade is what happens to the laptops.
func trade(ctx context.Context, db *annals.DB) error {
	_, err := Items.Add(ctx, db, "laptop", func(i *Item) error { return i.Record(ItemCreated{"Laptop", 10}) })
	if err != nil {
		return err
	}
	for _, change := range []func(*Item) error{
		func(i *Item) error { return i.Increase(5) },
		func(i *Item) error { return i.Decrease(3) },
		func(i *Item) error { return i.Decrease(8) },
	} {
		if _, err := Items.Update(ctx, db, "laptop", change); err != nil {
			return err
		}
	}
	return nil
}
