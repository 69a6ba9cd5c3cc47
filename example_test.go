package annals_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// Account is the entity of the examples.
type Account struct {
	annals.Entity
	Balance int
}

type (
	Deposited struct{ Amount int }
	Withdrawn struct{ Amount int }
)

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

// bank returns a handle to a log in memory, with 100 in alice's account.
func bank(ctx context.Context) *annals.DB {
	db := annals.New(memstore.New(nil), nil)
	Accounts.Add(ctx, db, "alice", func(a *Account) error { return a.Deposit(100) })
	return db
}

func Example() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)

	_, err := Accounts.Add(ctx, db, "alice", func(a *Account) error { return a.Deposit(100) })
	fmt.Println(err)
	_, err = Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Withdraw(30) })
	fmt.Println(err)
	_, err = Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Withdraw(90) })
	fmt.Println(err)

	now, err := Accounts.Load(db.View(ctx), "alice")
	fmt.Println(now.Balance, err)
	before, err := Accounts.Load(db.View(ctx).At(1), "alice")
	fmt.Println(before.Balance, err)
	// Output:
	// <nil>
	// <nil>
	// only 70 left
	// 70 <nil>
	// 100 <nil>
}

func ExampleDB_Update() {
	ctx := context.Background()
	db := bank(ctx)
	Accounts.Add(ctx, db, "bob", func(a *Account) error { return a.Deposit(5) })

	// Two entities, one atomic append.
	receipt, err := db.Update(ctx, func(tx *annals.Tx) error {
		from, err := Accounts.Load(tx, "alice")
		if err != nil {
			return err
		}
		to, err := Accounts.Load(tx, "bob")
		if err != nil {
			return err
		}
		return errors.Join(from.Withdraw(40), to.Deposit(40))
	})
	fmt.Println(receipt.First, receipt.Last, receipt.Versions, receipt.Durability, err)
	// Output: 3 4 [2 2] memory <nil>
}

func ExampleOnce() {
	ctx := context.Background()
	db := bank(ctx)
	for range 2 { // the same request twice
		receipt, err := Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Deposit(20) }, annals.Once("request 81"))
		fmt.Println(receipt.First, receipt.Repeated, err)
	}
	// Output:
	// 2 false <nil>
	// 2 true <nil>
}

func ExampleModel_Create() {
	ctx := context.Background()
	db := bank(ctx)
	_, err := db.Update(ctx, func(tx *annals.Tx) error {
		a, err := Accounts.Create(tx, "alice")
		if err != nil {
			return err
		}
		return a.Deposit(1)
	})
	fmt.Println(errors.Is(err, annals.ErrExists), err)
	// Output: true create "account-alice": exists already since position 1
}

func ExampleModel_Add() {
	ctx := context.Background()
	db := annals.New(memstore.New(nil), nil)
	receipt, err := Accounts.Add(ctx, db, "bob", func(a *Account) error { return a.Deposit(5) })
	fmt.Println(receipt.First, err)
	// Output: 1 <nil>
}

func ExampleModel_Update() {
	ctx := context.Background()
	db := bank(ctx)
	receipt, err := Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Withdraw(30) })
	fmt.Println(receipt.First, receipt.Versions, err)
	// Output: 2 [2] <nil>
}

func ExampleModel_Load() {
	ctx := context.Background()
	db := bank(ctx)
	a, err := Accounts.Load(db.View(ctx), "alice")
	fmt.Println(a.ID(), a.Version(), a.Balance, err)
	_, err = Accounts.Load(db.View(ctx), "alize")
	fmt.Println(errors.Is(err, annals.ErrNotFound), err)
	// Output:
	// alice 1 100 <nil>
	// true load "account-alize": not found
}

func ExampleModel_LoadVersion() {
	ctx := context.Background()
	db := bank(ctx)
	Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Withdraw(30) })
	a, err := Accounts.LoadVersion(db.View(ctx), "alice", 1)
	fmt.Println(a.Balance, err)
	_, err = Accounts.LoadVersion(db.View(ctx), "alice", 3)
	fmt.Println(errors.Is(err, annals.ErrNotFound))
	// Output:
	// 100 <nil>
	// true
}

func ExampleModel_History() {
	ctx := context.Background()
	db := bank(ctx)
	Accounts.Update(ctx, db, "alice", func(a *Account) error { return errors.Join(a.Withdraw(30), a.Deposit(5)) })
	for step, err := range Accounts.History(db.View(ctx), "alice") {
		fmt.Printf("%d %T%v %d %v\n", step.Record.Version, step.Events[0], step.Events[0], step.State.Balance, err)
	}
	// Output:
	// 1 annals_test.Deposited{100} 100 <nil>
	// 2 annals_test.Withdrawn{30} 70 <nil>
	// 3 annals_test.Deposited{5} 75 <nil>
}

func ExampleEntity_Record() {
	ctx := context.Background()
	db := bank(ctx)
	_, err := Accounts.Update(ctx, db, "alice", func(a *Account) error {
		err := a.Record(Withdrawn{30}) // applied at once
		fmt.Println(a.Balance, a.Version(), a.Recorded())
		return err
	})
	fmt.Println(err)
	// Output:
	// 70 2 [{30}]
	// <nil>
}
