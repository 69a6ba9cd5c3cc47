package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/DeluxeOwl/chronicle"
	"github.com/DeluxeOwl/chronicle/aggregate"
	"github.com/DeluxeOwl/chronicle/event"
	"github.com/DeluxeOwl/chronicle/eventlog"
)

type chronicleID string

func (id chronicleID) String() string { return string(id) }

type chronicleItem struct {
	aggregate.Base

	id   chronicleID
	sold int
}

type chronicleEvent interface {
	event.Any
	isChronicleEvent()
}

type chronicleDecreased struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

func (*chronicleDecreased) EventName() string { return "item/quantity_decreased" }
func (*chronicleDecreased) isChronicleEvent() {}

func (i *chronicleItem) ID() chronicleID { return i.id }

func (i *chronicleItem) EventFuncs() event.FuncsFor[chronicleEvent] {
	return event.FuncsFor[chronicleEvent]{func() chronicleEvent { return new(chronicleDecreased) }}
}

func (i *chronicleItem) Apply(e chronicleEvent) error {
	d, ok := e.(*chronicleDecreased)
	if !ok {
		return fmt.Errorf("unexpected event %T", e)
	}
	i.sold += d.Quantity
	return nil
}

type onChronicle struct {
	db    *sql.DB
	repo  aggregate.Repository[chronicleID, chronicleEvent, *chronicleItem]
	items sync.Map // of *chronicleItem by its ID
}

func openChronicle(url string) (system, error) {
	db, err := openDB(url)
	if err != nil {
		return nil, err
	}
	log, err := eventlog.NewPostgres(db)
	if err != nil {
		return nil, err
	}
	// A registry of its own: the global one takes a type once per process.
	repo, err := chronicle.NewEventSourcedRepository(log, func() *chronicleItem { return new(chronicleItem) }, nil,
		aggregate.AnyEventRegistry(chronicle.NewAnyEventRegistry()))
	return &onChronicle{db: db, repo: repo}, err
}

func (c *onChronicle) save(writer, n int) error {
	id := itemID(writer, n)
	known, _ := c.items.LoadOrStore(id, &chronicleItem{id: chronicleID(id)})
	i := known.(*chronicleItem)
	if err := aggregate.RecordEvent(i, chronicleEvent(&chronicleDecreased{SKU: sku, Quantity: 1, Price: price, Reason: reason})); err != nil {
		return err
	}
	_, _, err := c.repo.Save(context.Background(), i)
	return err
}

func (c *onChronicle) close() error { return c.db.Close() }
