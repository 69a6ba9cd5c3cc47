package main

import (
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/process"
)

// Payment is the money for one order.
type Payment struct {
	annals.Entity
	Amount int
	State  string // "open", "received", "refunded"
}

type (
	PaymentOpened struct {
		Order  string
		Amount int
	}
	PaymentReceived struct {
		Order  string
		Amount int
	}
	PaymentRefunded struct {
		Order  string
		Amount int
	}
)

var Payments = annals.NewModel("payment",
	annals.On(func(p *Payment, e PaymentOpened) { p.Amount, p.State = e.Amount, "open" }),
	annals.On(func(p *Payment, e PaymentReceived) { p.State = "received" }),
	annals.On(func(p *Payment, e PaymentRefunded) { p.State = "refunded" }),
)

// Receive records that the customer has paid.
func (p *Payment) Receive() error {
	if p.State != "open" {
		return fmt.Errorf("the payment of %s is %s already", p.ID(), p.State)
	}
	return p.Record(PaymentReceived{p.ID(), p.Amount})
}

// paymentsApp opens payments that are asked for, and gives back what came too late.
func paymentsApp(db *annals.DB) *process.App {
	return process.New("payments", db,
		process.On(func(r *process.Reaction, e PaymentRequested) error {
			p, err := Payments.Create(r.Tx, e.Order)
			if err != nil {
				return err
			}
			return p.Record(PaymentOpened(e))
		}),
		process.On(func(r *process.Reaction, e RefundRequested) error {
			p, err := Payments.Load(r.Tx, e.Order)
			if err != nil {
				return err
			}
			return p.Record(PaymentRefunded(e))
		}),
	)
}
