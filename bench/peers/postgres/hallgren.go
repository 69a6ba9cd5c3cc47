package main

import (
	"sync"

	"github.com/hallgren/eventsourcing"
	"github.com/hallgren/eventsourcing/aggregate"
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

type onHallgren struct {
	store *sql.Postgres
	items sync.Map // of *hallgrenItem by its ID
}

var registerHallgren = sync.OnceFunc(func() { aggregate.Register(&hallgrenItem{}) })

func openHallgren(url string) (system, error) {
	db, err := openDB(url)
	if err != nil {
		return nil, err
	}
	store, err := sql.NewPostgres(db)
	if err != nil {
		return nil, err
	}
	registerHallgren()
	return &onHallgren{store: store}, nil
}

func (h *onHallgren) save(writer, n int) error {
	id := itemID(writer, n)
	known, ok := h.items.Load(id)
	if !ok {
		i := &hallgrenItem{}
		if err := i.SetID(id); err != nil {
			return err
		}
		known = i
		h.items.Store(id, i)
	}
	i := known.(*hallgrenItem)
	aggregate.TrackChange(i, &hallgrenDecreased{SKU: sku, Quantity: 1, Price: price, Reason: reason})
	return aggregate.Save(h.store, i)
}

func (h *onHallgren) close() error {
	h.store.Close()
	return nil
}
