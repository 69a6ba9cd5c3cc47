package main

import (
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/process"
)

// Parcel is what is sent for an order.
type Parcel struct {
	annals.Entity
	Item string
}

type ParcelShipped struct{ Order, Item, Parcel string }

var Parcels = annals.NewModel("parcel", annals.On(func(p *Parcel, e ParcelShipped) { p.Item = e.Item }))

// shippingApp packs and ships; packing is how long that takes.
func shippingApp(db *annals.DB, packing time.Duration) *process.App {
	return process.New("shipping", db,
		process.On(func(r *process.Reaction, e ShipmentRequested) error {
			if packing > 0 {
				select {
				case <-time.After(packing):
				case <-r.Tx.Context().Done():
					return r.Tx.Context().Err()
				}
			}
			p, err := Parcels.Create(r.Tx, "P-"+e.Order)
			if err != nil {
				return err
			}
			return p.Record(ParcelShipped{e.Order, e.Item, p.ID()})
		}),
	)
}
