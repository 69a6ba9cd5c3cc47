package guide_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

func Example_modelling() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	// code: use
	_, err := Accounts.Add(ctx, db, "ada", func(a *Account) error {
		return errors.Join(a.Record(Opened{"Ada"}), a.Deposit(100))
	})
	if err != nil {
		fmt.Println(err)
	}
	_, err = Accounts.Update(ctx, db, "ada", func(a *Account) error { return a.Withdraw(30) })
	if err != nil {
		fmt.Println(err)
	}
	ada, err := Accounts.Load(db.View(ctx), "ada")
	fmt.Println(ada.Owner, ada.Balance, ada.Version(), err)
	// end

	// code: typo
	_, err = Accounts.Update(ctx, db, "aba", func(a *Account) error { return a.Deposit(1) })
	fmt.Println(errors.Is(err, annals.ErrNotFound), err)
	// end
	// Output:
	// Ada 70 3 <nil>
	// true load "account-aba": not found
}

// code: envelope
type Timesheet struct {
	annals.Entity
	Hours map[string]float64 // by month
	By    string
}

type Worked struct{ Hours float64 }

var Timesheets = annals.NewModel("timesheet",
	annals.Init(func(s *Timesheet) { s.Hours = map[string]float64{} }),
	annals.OnEnvelope(func(s *Timesheet, e Worked, env annals.Envelope) {
		s.Hours[env.Occurred.Format("2006-01")] += e.Hours
		s.By = env.Metadata.Value("actor")
	}),
)

// end

func Example_envelope() {
	db := annals.New(memstore.New(nil), nil)
	// code: metadata
	ctx := annals.WithActor(context.Background(), "ada")
	lastMonth := time.Date(2025, 12, 30, 17, 0, 0, 0, time.UTC)
	_, err := Timesheets.Add(ctx, db, "ada", func(s *Timesheet) error {
		return s.Record(Worked{7.5}, annals.At(lastMonth))
	})
	// end
	fmt.Println(err)
	s, err := Timesheets.Load(db.View(ctx), "ada")
	fmt.Println(s.Hours, s.By, err)
	// Output:
	// <nil>
	// map[2025-12:7.5] ada <nil>
}
