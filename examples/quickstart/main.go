package main

import (
	"context"
	"fmt"
	"log"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

type Item struct {
	annals.Entity // identity, version, what it has recorded
	Quantity      int
}

type Received struct{ Amount int }
type Sold struct{ Amount int }

// Which events an item listens to, and what each does.
var Items = annals.NewModel("item",
	annals.On(func(i *Item, e Received) { i.Quantity += e.Amount }),
	annals.On(func(i *Item, e Sold) { i.Quantity -= e.Amount }),
)

func (i *Item) Sell(n int) error {
	if n > i.Quantity {
		return fmt.Errorf("only %d left", i.Quantity)
	}
	return i.Record(Sold{n}) // applied at once, appended at commit
}

func main() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil) // filestore.Open("inventory", nil) keeps it on disk

	_, err := Items.Add(ctx, db, "laptop", func(i *Item) error { return i.Record(Received{10}) })
	check(err)
	_, err = Items.Update(ctx, db, "laptop", func(i *Item) error { return i.Sell(3) })
	check(err)
	_, err = Items.Update(ctx, db, "laptop", func(i *Item) error { return i.Sell(8) })
	fmt.Println("selling 8 more:", err)

	for step, err := range Items.History(db.View(ctx), "laptop") {
		check(err)
		fmt.Printf("version %d: %s %s, then there were %d\n",
			step.Record.Version, step.Record.Type, step.Record.Data, step.State.Quantity)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
