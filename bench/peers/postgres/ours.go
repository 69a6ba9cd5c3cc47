package main

import (
	"context"
	"sync"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/pgstore"
)

// The event, alike for everyone.
const (
	sku    = "laptop-15-inch"
	price  = 129900
	reason = "sold-web"
)

type item struct {
	annals.Entity
	Sold int
}

type quantityDecreased struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

var items = annals.NewModel("item", annals.On(func(i *item, e quantityDecreased) { i.Sold += e.Quantity }))

type ours struct {
	log     *pgstore.Store
	db      *annals.DB
	created sync.Map
}

func openOurs(url string) (system, error) {
	log, err := pgstore.Open(context.Background(), url, nil)
	if err != nil {
		return nil, err
	}
	return &ours{log: log, db: annals.New(log, nil)}, nil
}

func (o *ours) save(writer, n int) error {
	do, id := items.Update, itemID(writer, n)
	if _, known := o.created.LoadOrStore(id, true); !known {
		do = items.Add
	}
	_, err := do(context.Background(), o.db, id, func(i *item) error {
		return i.Record(quantityDecreased{SKU: sku, Quantity: 1, Price: price, Reason: reason})
	})
	return err
}

func (o *ours) close() error { return o.log.Close() }
