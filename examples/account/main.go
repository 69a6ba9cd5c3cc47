// Command account is an account that is paid into, drawn on, and asked how it
// came to its balance.
//
//	go run ./examples/account
//	go run ./examples/account -store file:bank
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/stores"
)

// Account is folded from the events of its stream.
type Account struct {
	annals.Entity
	Balance int
}

type Deposited struct{ Amount int }
type Withdrawn struct{ Amount int }

var Accounts = annals.NewModel("account",
	annals.On(func(a *Account, e Deposited) { a.Balance += e.Amount }),
	annals.On(func(a *Account, e Withdrawn) { a.Balance -= e.Amount }),
)

func (a *Account) Deposit(n int) error { return a.Record(Deposited{n}) }

func (a *Account) Withdraw(n int) error {
	if n > a.Balance {
		return fmt.Errorf("only %d left", a.Balance)
	}
	return a.Record(Withdrawn{n})
}

func main() {
	url := flag.String("store", "mem:", "the `URL` of an empty store")
	flag.Parse()
	if err := run(context.Background(), *url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) error {
	store, err := stores.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	db := annals.New(store, nil)
	_, err = Accounts.Add(ctx, db, "alice", func(a *Account) error {
		return errors.Join(a.Deposit(100), a.Deposit(50), a.Withdraw(30), a.Deposit(30))
	})
	if err != nil {
		return err
	}
	balance := 0
	for step, err := range Accounts.History(db.View(ctx), "alice") {
		if err != nil {
			return err
		}
		fmt.Printf("%d %s %s\n", step.Record.Version, step.Record.Type, step.Record.Data)
		balance = step.State.Balance
	}
	fmt.Println("Balance:", balance)
	return nil
}
