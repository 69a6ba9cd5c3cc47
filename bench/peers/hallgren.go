package main

import (
	"context"

	"github.com/hallgren/eventsourcing"
	"github.com/hallgren/eventsourcing/aggregate"
	"github.com/hallgren/eventsourcing/core"
	"github.com/hallgren/eventsourcing/eventstore/sql"
)

type hallgrenItem struct {
	aggregate.Root
	sold int
}

type hallgrenDecreased struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

func (i *hallgrenItem) Transition(e eventsourcing.Event) {
	if d, ok := e.Data().(*hallgrenDecreased); ok {
		i.sold += d.Quantity
	}
}

func (i *hallgrenItem) Register(r aggregate.RegisterFunc) { r(&hallgrenDecreased{}) }

func (i *hallgrenItem) sell(n int) {
	aggregate.TrackChange(i, &hallgrenDecreased{SKU: sku, Quantity: n, Price: price, Reason: reason})
}

type onHallgren struct {
	store *sql.SQLite
	items map[string]*hallgrenItem
}

func openHallgren(dir string) (system, error) {
	db, err := openSQLite(dir)
	if err != nil {
		return nil, err
	}
	store, err := sql.NewSQLiteSingelWriter(db)
	if err != nil {
		return nil, err
	}
	aggregate.Register(&hallgrenItem{})
	h := &onHallgren{store: store, items: map[string]*hallgrenItem{}}
	ids := []string{"big"}
	for w := range writers {
		for n := range perWriter {
			ids = append(ids, itemID(w, n))
		}
	}
	for _, id := range ids {
		i := &hallgrenItem{}
		if err := i.SetID(id); err != nil {
			return nil, err
		}
		h.items[id] = i
	}
	return h, nil
}

func (h *onHallgren) save(writer, n int) error {
	i := h.items[itemID(writer, n)]
	i.sell(1)
	return aggregate.Save(h.store, i)
}

func (h *onHallgren) fill(events int) error {
	i := h.items["big"]
	for range events / 100 {
		for range 100 {
			i.sell(1)
		}
		if err := aggregate.Save(h.store, i); err != nil {
			return err
		}
	}
	return nil
}

func (h *onHallgren) load() (int, error) {
	var i hallgrenItem
	err := aggregate.Load(context.Background(), h.store, "big", &i)
	return i.sold, err
}

func (h *onHallgren) readAll() (n int, err error) {
	var at core.Version = 1
	for {
		got, err := drain(h.store.All(at))
		if err != nil || got == 0 {
			return n, err
		}
		n += got
		at += core.Version(got)
	}
}

// drain counts what one fetch gives.
func drain(fetch core.Fetcher) (n int, err error) {
	it, err := fetch()
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for it.Next() {
		if _, err := it.Value(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (h *onHallgren) close() error {
	h.store.Close()
	return nil
}
