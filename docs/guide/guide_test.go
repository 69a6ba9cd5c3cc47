// Package guide_test is the code of the guide. See docs/docs_test.go.
package guide_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// code: account
type Account struct {
	annals.Entity
	Owner   string
	Balance int
}

type Opened struct{ Owner string }
type Deposited struct{ Amount int }
type Withdrawn struct{ Amount int }

var Accounts = annals.NewModel("account",
	annals.On(func(a *Account, e Opened) { a.Owner = e.Owner }),
	annals.On(func(a *Account, e Deposited) { a.Balance += e.Amount }),
	annals.On(func(a *Account, e Withdrawn) { a.Balance -= e.Amount }),
)

// end

// code: commands
func (a *Account) Deposit(n int) error { return a.Record(Deposited{n}) }

func (a *Account) Withdraw(n int) error {
	if n > a.Balance {
		return fmt.Errorf("only %d left", a.Balance)
	}
	return a.Record(Withdrawn{n})
}

// end

func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// bank returns a log with the accounts of ada, who has 100, and bob, who has nothing.
func bank(ctx context.Context) *annals.DB {
	now := day(1)
	clock := func() time.Time { now = now.Add(24 * time.Hour); return now }
	db := annals.New(memstore.New(&memstore.Options{Clock: clock}), nil)
	Accounts.Add(ctx, db, "ada", func(a *Account) error {
		return errors.Join(a.Record(Opened{"Ada"}), a.Deposit(100))
	})
	Accounts.Add(ctx, db, "bob", func(a *Account) error { return a.Record(Opened{"Bob"}) })
	return db
}
