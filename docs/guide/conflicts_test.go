package guide_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
)

// code: transfer
func transfer(ctx context.Context, db *annals.DB, from, to string, n int) error {
	_, err := db.Update(ctx, func(tx *annals.Tx) error {
		a, err := Accounts.Load(tx, from)
		if err != nil {
			return err
		}
		b, err := Accounts.Load(tx, to)
		if err != nil {
			return err
		}
		return errors.Join(a.Withdraw(n), b.Deposit(n))
	})
	return err
}

// end

func Example_transfer() {
	ctx := context.Background()
	db := bank(ctx)
	fmt.Println(transfer(ctx, db, "ada", "bob", 60))
	fmt.Println(transfer(ctx, db, "ada", "bob", 60))
	// Output:
	// <nil>
	// only 40 left
}

func Example_race() {
	ctx := context.Background()
	db := bank(ctx)
	// code: race
	runs := 0
	_, err := Accounts.Update(ctx, db, "ada", func(a *Account) error {
		if runs++; runs == 1 { // meanwhile, another is faster
			if err := transfer(ctx, db, "ada", "bob", 80); err != nil {
				return err
			}
		}
		return a.Withdraw(30)
	})
	fmt.Println(runs, err)
	// end
	// Output: 2 only 20 left
}

func Example_why() {
	ctx := context.Background()
	db := bank(ctx)
	transfer(ctx, db, "ada", "bob", 60)
	// code: why
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if r.Position == r.Batch { // the first of its batch
			fmt.Println(r.Position, r.Type, r.Conditions)
		}
	}
	// end
	// Output:
	// 1 Opened [stream "account-ada" is absent]
	// 3 Opened [stream "account-bob" is absent]
	// 4 Withdrawn [stream "account-ada" at version 2 stream "account-bob" at version 1]
}

func Example_once() {
	ctx := context.Background()
	db := bank(ctx)
	// code: once
	for range 2 { // the request arrives twice
		receipt, err := Accounts.Update(ctx, db, "bob", func(a *Account) error { return a.Deposit(5) },
			annals.Once("payment 4711"))
		fmt.Println(receipt.First, receipt.Repeated, err)
	}
	// end
	// Output:
	// 4 false <nil>
	// 4 true <nil>
}
