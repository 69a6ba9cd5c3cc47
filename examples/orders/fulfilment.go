package main

import (
	"errors"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/process"
)

// Fulfilment is the state of the process manager for one order: it asks for the
// money, then for the shipment, and gives up when the money does not come in time.
type Fulfilment struct {
	annals.Entity
	Item  string
	State string // "unpaid", "paid", "completed", "cancelled"
}

type (
	PaymentRequested struct {
		Order  string
		Amount int
	}
	ShipmentRequested struct{ Order, Item string }
	RefundRequested   struct {
		Order  string
		Amount int
	}
	FulfilmentCompleted struct{ Order, Parcel string }
	FulfilmentCancelled struct{ Order, Reason string }
	FulfilmentBegun     struct{ Order, Item string }
	PaymentOverdue      struct{ Order string } // happens when the deadline is over
)

var Fulfilments = annals.NewModel("fulfilment",
	annals.On(func(f *Fulfilment, e FulfilmentBegun) { f.Item, f.State = e.Item, "unpaid" }),
	annals.On(func(f *Fulfilment, e PaymentRequested) {}),
	annals.On(func(f *Fulfilment, e ShipmentRequested) { f.State = "paid" }),
	annals.On(func(f *Fulfilment, e RefundRequested) {}),
	annals.On(func(f *Fulfilment, e FulfilmentCompleted) { f.State = "completed" }),
	annals.On(func(f *Fulfilment, e FulfilmentCancelled) { f.State = "cancelled" }),
)

// fulfilmentApp is the process manager. deadline is how long a customer has to pay.
func fulfilmentApp(db *annals.DB, deadline time.Duration) *process.App {
	return process.New("fulfilment", db,
		process.Manage(Fulfilments, func(e OrderPlaced) string { return e.Order },
			func(r *process.Reaction, f *Fulfilment, e OrderPlaced) error {
				return errors.Join(
					f.Record(FulfilmentBegun{e.Order, e.Item}),
					f.Record(PaymentRequested{e.Order, e.Total}),
					r.Schedule("payment of "+e.Order, r.Tx.Now().Add(deadline), PaymentOverdue{e.Order}))
			}),
		process.Manage(Fulfilments, func(e PaymentReceived) string { return e.Order },
			func(r *process.Reaction, f *Fulfilment, e PaymentReceived) error {
				if f.State == "cancelled" {
					return f.Record(RefundRequested(e))
				}
				return errors.Join(
					f.Record(ShipmentRequested{e.Order, f.Item}),
					r.Cancel("payment of "+e.Order))
			}),
		process.Manage(Fulfilments, func(e PaymentOverdue) string { return e.Order },
			func(r *process.Reaction, f *Fulfilment, e PaymentOverdue) error {
				return f.Record(FulfilmentCancelled{e.Order, "not paid in time"})
			}),
		process.Manage(Fulfilments, func(e ParcelShipped) string { return e.Order },
			func(r *process.Reaction, f *Fulfilment, e ParcelShipped) error {
				return f.Record(FulfilmentCompleted{e.Order, e.Parcel})
			}),
	)
}
