package guide_test

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
)

func Example_subscribe() {
	ctx := context.Background()
	db := bank(ctx)
	// code: subscribe
	totals := map[string]int{}
	q := annals.Match(annals.QueryItem{Types: []string{"Deposited", "Withdrawn"}, Category: "account"})
	for n, err := range db.Subscribe(ctx, q, &annals.SubscribeOptions{Progress: true}) {
		if err != nil {
			fmt.Println(err) // the last thing yielded: ctx's own error, or the log's
			break
		}
		if n.Position > 0 {
			totals[n.Type]++
		}
		if n.CaughtUp { // here only; a projection would go on
			fmt.Println(totals, "up to", n.Scanned)
			break
		}
	}
	// end
	// Output: map[Deposited:1] up to 3
}

func Example_select() {
	ctx := context.Background()
	db := bank(ctx)
	// code: select
	page, err := db.Select(ctx, 1, 2) // from position 1, two records
	for _, r := range page {
		fmt.Println(r.Position, r.Stream, r.Type, string(r.Data))
	}
	// end
	fmt.Println(err)
	// code: section
	for id := "1,2"; id != ""; {
		section, err := db.Section(ctx, id)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(section.ID, len(section.Items), section.NextID)
		id = section.NextID
	}
	// end
	// Output:
	// 1 account-ada Opened {"Owner":"Ada"}
	// 2 account-ada Deposited {"Amount":100}
	// <nil>
	// 1,2 2 3,4
	// 3,4 1
}

func Example_batches() {
	ctx := context.Background()
	db := bank(ctx)
	// code: batches
	for b, err := range db.SubscribeBatches(ctx, annals.Query{}, &annals.SubscribeOptions{Batch: 2}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(len(b.Records), "records, up to", b.Scanned)
		if b.CaughtUp { // here only
			break
		}
	}
	// end
	// Output:
	// 2 records, up to 2
	// 1 records, up to 3
}

func Example_follow() {
	ctx := context.Background()
	db := bank(ctx)
	// code: follow
	for n, err := range annals.Follow(ctx, db, annals.Query{}, &annals.FollowOptions{Page: 2}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(n.Position, n.Type)
		if n.CaughtUp { // here only
			break
		}
	}
	// end
	// Output:
	// 1 Opened
	// 2 Deposited
	// 3 Opened
}
