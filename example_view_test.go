package annals_test

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// day returns a day of January 2026, noon.
func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// history returns a handle to a log to which 100 were paid on the 5th, and on
// the 20th 50 that had come in on the 10th already.
func history(ctx context.Context) *annals.DB {
	now := day(5)
	clock := func() time.Time { return now }
	db := annals.New(memstore.New(&memstore.Options{Clock: clock}), &annals.Options{Clock: clock})
	Accounts.Add(ctx, db, "alice", func(a *Account) error { return a.Deposit(100) })
	now = day(20)
	Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Record(Deposited{50}, annals.At(day(10))) })
	return db
}

func balance(v *annals.View) {
	a, err := Accounts.Load(v, "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Balance)
}

func ExampleDB_View() {
	ctx := context.Background()
	db := bank(ctx)
	view := db.View(ctx)
	balance(view)
	Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Deposit(11) })
	balance(view) // it stays where it is
	balance(db.View(ctx))
	// Output:
	// 100
	// 100
	// 111
}

func ExampleView_At() {
	ctx := context.Background()
	db := history(ctx)
	balance(db.View(ctx).At(1))
	balance(db.View(ctx).At(2))
	balance(db.View(ctx).At(3))
	// Output:
	// 100
	// 150
	// load "account-alice": position 3 does not exist (the log's head is position 2)
}

func ExampleView_AsOf() {
	ctx := context.Background()
	db := history(ctx)
	balance(db.View(ctx).AsOf(day(15))) // what was known on the 15th
	balance(db.View(ctx).AsOf(day(20)))
	// Output:
	// 100
	// 150
}

func ExampleView_AsOccurred() {
	ctx := context.Background()
	db := history(ctx)
	balance(db.View(ctx).AsOccurred(day(15)))               // what is known now of the 15th
	balance(db.View(ctx).AsOf(day(19)).AsOccurred(day(15))) // what was known of it on the 19th
	// Output:
	// 150
	// 100
}

func ExampleView_Read() {
	ctx := context.Background()
	db := history(ctx)
	q := annals.Match(annals.QueryItem{Types: []string{"Deposited"}, Category: "account"})
	for r, err := range db.View(ctx).Read(q) {
		fmt.Println(r.Position, r.Stream, r.Version, string(r.Data), r.Time.Day(), r.Occurred.Day(), err)
	}
	// Output:
	// 1 account-alice 1 {"Amount":100} 5 5 <nil>
	// 2 account-alice 2 {"Amount":50} 20 10 <nil>
}

func ExampleDB_Decode() {
	ctx := context.Background()
	db := bank(ctx)
	for r, err := range db.View(ctx).Read(annals.Query{}) {
		events, decodeErr := db.Decode(r)
		fmt.Printf("%T%v %v %v\n", events[0], events[0], err, decodeErr)
	}
	// Output: annals_test.Deposited{100} <nil> <nil>
}

func ExampleDB_Subscribe() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db := bank(ctx)
	for n, err := range db.Subscribe(ctx, annals.Query{}, nil) {
		if err != nil {
			fmt.Println("ended:", err)
			break
		}
		fmt.Println(n.Position, n.Type, n.CaughtUp)
		if n.Position == 2 {
			cancel()
			continue
		}
		Accounts.Update(ctx, db, "alice", func(a *Account) error { return a.Withdraw(1) })
	}
	// Output:
	// 1 Deposited true
	// 2 Withdrawn true
	// ended: context canceled
}

func ExampleDB_Select() {
	ctx := context.Background()
	db := history(ctx)
	page, err := db.Select(ctx, 1, 10)
	for _, r := range page {
		fmt.Println(r.Position, r.Time.Format(time.DateOnly), r.Stream, r.Type, string(r.Data))
	}
	fmt.Println(err)
	// Output:
	// 1 2026-01-05 account-alice Deposited {"Amount":100}
	// 2 2026-01-20 account-alice Deposited {"Amount":50}
	// <nil>
}

func ExampleDB_Section() {
	ctx := context.Background()
	db := history(ctx)
	for id := "1,1"; id != ""; {
		section, err := db.Section(ctx, id)
		fmt.Println(section.ID, len(section.Items), section.NextID, err)
		id = section.NextID
	}
	// Output:
	// 1,1 1 2,2 <nil>
	// 2,2 1 3,3 <nil>
	// 3,3 0  <nil>
}
