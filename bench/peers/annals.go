package main

import (
	"context"
	"sync"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
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

func (i *item) sell(n int) error {
	return i.Record(quantityDecreased{SKU: sku, Quantity: n, Price: price, Reason: reason})
}

type ours struct {
	log     *filestore.Store
	db      *annals.DB // with its cache
	fresh   *annals.DB // without
	created sync.Map
}

func openOurs(dir string) (system, error) {
	log, err := filestore.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	return &ours{log: log, db: annals.New(log, nil), fresh: annals.New(log, &annals.Options{CacheEntities: -1, NoSnapshots: true})}, nil
}

func (o *ours) save(writer, n int) error {
	return o.update(itemID(writer, n), func(i *item) error { return i.sell(1) })
}

func (o *ours) update(id string, fn func(*item) error) error {
	do := items.Update
	if _, known := o.created.LoadOrStore(id, true); !known {
		do = items.Add
	}
	_, err := do(context.Background(), o.db, id, fn)
	return err
}

func (o *ours) fill(events int) error {
	for range events / 100 {
		err := o.update("big", func(i *item) error {
			for range 100 {
				if err := i.sell(1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *ours) load() (int, error) {
	i, err := items.Load(o.fresh.View(context.Background()), "big")
	if err != nil {
		return 0, err
	}
	return i.Sold, nil
}

func (o *ours) readAll() (n int, err error) {
	for _, err := range o.log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (o *ours) close() error { return o.log.Close() }
