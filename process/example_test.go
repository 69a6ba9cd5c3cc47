package process_test

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

func Example() {
	ctx := context.Background()
	clock := annalstest.NewClock(annalstest.Start)
	open := func() *annals.DB { return annals.New(memstore.New(nil), &annals.Options{Clock: clock.Now}) }
	orders := process.New("orders", open())
	reminders := process.New("reminders", open(),
		process.On(func(r *process.Reaction, e Placed) error {
			return r.Schedule(e.Order, r.Tx.Now().Add(24*time.Hour), Expired{e.Order})
		}),
	)
	system, err := process.NewSystem(nil, process.Pipe(orders, reminders))
	if err != nil {
		fmt.Println(err)
		return
	}

	orders.DB().Update(ctx, func(tx *annals.Tx) error { return tx.Append(Placed{"7", 100}) })
	system.Settle(ctx) // in a program: system.Run(ctx)
	timers, err := reminders.Timers(ctx)
	fmt.Println(timers[0].Key, timers[0].Type, err)

	clock.Advance(24 * time.Hour)
	system.Settle(ctx)
	for r := range reminders.DB().View(ctx).Read(annals.Query{}) {
		fmt.Println(r.Type, string(r.Data))
	}
	// Output:
	// 7 Expired <nil>
	// process.TimerSet {"App":"reminders","Key":"7","At":"2026-01-02T12:00:00Z","Type":"Expired","Data":{"Order":"7"}}
	// process.TimerFired {"App":"reminders","Key":"7"}
	// Expired {"Order":"7"}
}
