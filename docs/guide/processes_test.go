package guide_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

// code: loan
type LoanAsked struct {
	Loan, Account string
	Amount        int
}
type LoanGranted struct{ Loan string }
type LoanExpired struct{ Loan string }

func (e LoanAsked) Tags() []string   { return []string{"loan:" + e.Loan} }
func (e LoanGranted) Tags() []string { return []string{"loan:" + e.Loan} }

// Loan is the state of the process manager, one for each loan.
type Loan struct {
	annals.Entity
	State string
}

type LoanOpened struct{ Loan string }
type LoanClosed struct{ Loan, Outcome string }

var Loans = annals.NewModel("loan",
	annals.On(func(l *Loan, e LoanOpened) { l.State = "open" }),
	annals.On(func(l *Loan, e LoanClosed) { l.State = e.Outcome }),
)

// end

func (e LoanExpired) Tags() []string { return []string{"loan:" + e.Loan} }

// code: manager
func loans(db *annals.DB) *process.App {
	return process.New("loans", db,
		process.Manage(Loans, func(e LoanAsked) string { return e.Loan },
			func(r *process.Reaction, l *Loan, e LoanAsked) error {
				return errors.Join(
					l.Record(LoanOpened{e.Loan}),
					r.Schedule(e.Loan, r.Tx.Now().Add(48*time.Hour), LoanExpired{e.Loan}))
			}),
		process.Manage(Loans, func(e LoanGranted) string { return e.Loan },
			func(r *process.Reaction, l *Loan, e LoanGranted) error {
				return errors.Join(l.Record(LoanClosed{e.Loan, "granted"}), r.Cancel(e.Loan))
			}),
		process.Manage(Loans, func(e LoanExpired) string { return e.Loan },
			func(r *process.Reaction, l *Loan, e LoanExpired) error {
				return l.Record(LoanClosed{e.Loan, "expired"})
			}),
	)
}

// end

func Example_process() {
	ctx := context.Background()
	clock := annalstest.NewClock(day(1))
	open := func() *annals.DB { return annals.New(memstore.New(nil), &annals.Options{Clock: clock.Now}) }
	bankDB, loansDB := open(), open()
	// code: system
	bank, loans := process.New("bank", bankDB), loans(loansDB)
	system, err := process.NewSystem(nil, process.Pipe(bank, loans))
	if err != nil {
		fmt.Println(err)
		return
	}
	// in a program: err = system.Run(ctx)
	// end

	// code: settle
	say := func(event any) {
		bankDB.Update(ctx, func(tx *annals.Tx) error { return tx.Append(event) })
		system.Settle(ctx)
	}
	say(LoanAsked{"1", "ada", 500})
	say(LoanAsked{"2", "bob", 900})
	say(LoanGranted{"1"})
	clock.Advance(48 * time.Hour)
	system.Settle(ctx)
	for _, id := range []string{"1", "2"} {
		l, err := Loans.Load(loansDB.View(ctx), id)
		fmt.Println(id, l.State, err)
	}
	// end
	// Output:
	// 1 granted <nil>
	// 2 expired <nil>
}
