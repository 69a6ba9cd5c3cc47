package guide_test

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/memstore"
)

func Example_time() {
	ctx := context.Background()
	clock := annalstest.NewClock(day(5))
	db := annals.New(memstore.New(&memstore.Options{Clock: clock.Now}), &annals.Options{Clock: clock.Now})
	balance := func(v *annals.View) int {
		a, err := Accounts.Load(v, "ada")
		if err != nil {
			fmt.Println(err)
			return 0
		}
		return a.Balance
	}
	// code: late
	Accounts.Add(ctx, db, "ada", func(a *Account) error { return a.Deposit(100) }) // on the 5th
	clock.Set(day(20))
	Accounts.Update(ctx, db, "ada", func(a *Account) error {
		return a.Record(Deposited{50}, annals.At(day(10))) // booked late
	})
	// end
	// code: views
	now := db.View(ctx)
	fmt.Println("now:", balance(now))
	fmt.Println("at position 1:", balance(now.At(1)))
	fmt.Println("known on the 15th:", balance(now.AsOf(day(15))))
	fmt.Println("on the 15th, as is known now:", balance(now.AsOccurred(day(15))))
	fmt.Println("on the 15th, as was known on the 19th:", balance(now.AsOf(day(19)).AsOccurred(day(15))))
	// end
	// code: history
	for step, err := range Accounts.History(now, "ada") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(step.Record.Time.Format(time.DateOnly), step.Events, step.State.Balance)
	}
	// end
	// Output:
	// now: 150
	// at position 1: 100
	// known on the 15th: 100
	// on the 15th, as is known now: 150
	// on the 15th, as was known on the 19th: 100
	// 2026-01-05 [{100}] 100
	// 2026-01-20 [{50}] 150
}
