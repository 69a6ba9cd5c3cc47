package main

import (
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/process"
)

// Order is what a customer ordered.
type Order struct {
	annals.Entity
	Item   string
	Total  int
	Status string
}

type (
	OrderPlaced struct {
		Order, Item string
		Total       int
	}
	OrderPaid      struct{ Order string }
	OrderShipped   struct{ Order, Parcel string }
	OrderCancelled struct{ Order, Reason string }
)

var Orders = annals.NewModel("order",
	annals.On(func(o *Order, e OrderPlaced) { o.Item, o.Total, o.Status = e.Item, e.Total, "placed" }),
	annals.On(func(o *Order, e OrderPaid) { o.Status = "paid" }),
	annals.On(func(o *Order, e OrderShipped) { o.Status = "shipped" }),
	annals.On(func(o *Order, e OrderCancelled) { o.Status = "cancelled" }),
)

// Place records a new order.
func (o *Order) Place(item string, total int) error {
	if item == "" || total <= 0 {
		return errors.New("an order has an item and a total above zero")
	}
	return o.Record(OrderPlaced{o.ID(), item, total})
}

// ordersApp keeps orders abreast of their fulfilment.
func ordersApp(db *annals.DB) *process.App {
	change := func(r *process.Reaction, order string, event any) error {
		o, err := Orders.Load(r.Tx, order)
		if err != nil {
			return fmt.Errorf("%T: %w", event, err)
		}
		return o.Record(event)
	}
	return process.New("orders", db,
		process.On(func(r *process.Reaction, e ShipmentRequested) error { return change(r, e.Order, OrderPaid{e.Order}) }),
		process.On(func(r *process.Reaction, e FulfilmentCompleted) error { return change(r, e.Order, OrderShipped(e)) }),
		process.On(func(r *process.Reaction, e FulfilmentCancelled) error { return change(r, e.Order, OrderCancelled(e)) }),
	)
}
