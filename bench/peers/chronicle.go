package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/DeluxeOwl/chronicle"
	"github.com/DeluxeOwl/chronicle/aggregate"
	"github.com/DeluxeOwl/chronicle/event"
	"github.com/DeluxeOwl/chronicle/eventlog"
	"github.com/DeluxeOwl/chronicle/version"
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

type chronicleOpened struct {
	ID chronicleID
}

type chronicleDecreased struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

func (*chronicleOpened) EventName() string    { return "item/opened" }
func (*chronicleOpened) isChronicleEvent()    {}
func (*chronicleDecreased) EventName() string { return "item/quantity_decreased" }
func (*chronicleDecreased) isChronicleEvent() {}

func newChronicleItem() *chronicleItem { return new(chronicleItem) }

func (i *chronicleItem) ID() chronicleID { return i.id }

func (i *chronicleItem) EventFuncs() event.FuncsFor[chronicleEvent] {
	return event.FuncsFor[chronicleEvent]{
		func() chronicleEvent { return new(chronicleOpened) },
		func() chronicleEvent { return new(chronicleDecreased) },
	}
}

func (i *chronicleItem) Apply(e chronicleEvent) error {
	switch e := e.(type) {
	case *chronicleOpened:
		i.id = e.ID
	case *chronicleDecreased:
		i.sold += e.Quantity
	default:
		return fmt.Errorf("unexpected event %T", e)
	}
	return nil
}

func (i *chronicleItem) sell(n int) error {
	return aggregate.RecordEvent(i, chronicleEvent(&chronicleDecreased{SKU: sku, Quantity: n, Price: price, Reason: reason}))
}

type onChronicle struct {
	db    *sql.DB
	log   *eventlog.Sqlite
	repo  aggregate.Repository[chronicleID, chronicleEvent, *chronicleItem]
	items map[string]*chronicleItem
}

func openChronicle(dir string) (system, error) {
	db, err := openSQLite(dir)
	if err != nil {
		return nil, err
	}
	log, err := eventlog.NewSqlite(db)
	if err != nil {
		return nil, err
	}
	// A registry of its own: the global one takes a type once per process.
	repo, err := chronicle.NewEventSourcedRepository(log, newChronicleItem, nil, aggregate.AnyEventRegistry(chronicle.NewAnyEventRegistry()))
	if err != nil {
		return nil, err
	}
	c := &onChronicle{db: db, log: log, repo: repo, items: map[string]*chronicleItem{}}
	for w := range writers {
		for n := range perWriter {
			c.items[itemID(w, n)] = &chronicleItem{id: chronicleID(itemID(w, n))}
		}
	}
	c.items["big"] = &chronicleItem{id: "big"}
	return c, nil
}

func (c *onChronicle) save(writer, n int) error {
	i := c.items[itemID(writer, n)]
	if err := i.sell(1); err != nil {
		return err
	}
	_, _, err := c.repo.Save(context.Background(), i)
	return err
}

func (c *onChronicle) fill(events int) error {
	i := c.items["big"]
	for range events / 100 {
		for range 100 {
			if err := i.sell(1); err != nil {
				return err
			}
		}
		if _, _, err := c.repo.Save(context.Background(), i); err != nil {
			return err
		}
	}
	return nil
}

func (c *onChronicle) load() (int, error) {
	i, err := c.repo.Get(context.Background(), "big")
	if err != nil {
		return 0, err
	}
	return i.sold, nil
}

func (c *onChronicle) readAll() (n int, err error) {
	for _, err := range c.log.ReadAllEvents(context.Background(), version.Selector{From: 1}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (c *onChronicle) close() error { return c.db.Close() }
