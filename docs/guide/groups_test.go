package guide_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/group"
)

func Example_group() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db := bank(ctx)
	send := func(ctx context.Context, r annals.Record) error {
		fmt.Println("a letter about", r.Type)
		cancel() // here only
		return nil
	}
	// code: run
	letters := group.New(db, "letters", annals.Match(annals.QueryItem{Types: []string{"Deposited"}}), &group.Options{Partitions: 4})
	err := letters.Run(ctx, func(ctx context.Context, r annals.Record) error {
		return send(ctx, r) // nil acknowledges
	})
	// end
	fmt.Println(errors.Is(err, context.Canceled))
	ctx = context.Background()
	// code: inspect
	status, err := group.Inspect(ctx, db.Log(), "letters")
	for _, e := range status.Parked {
		fmt.Println(e.Position, e.Error)
	}
	// end
	fmt.Println(len(status.Partitions), "partitions,", len(status.Parked), "parked", err)
	// code: replay
	err = group.Replay(ctx, db.Log(), "letters") // or Drop; those at certain positions, or all
	// end
	fmt.Println(err)
	// Output:
	// a letter about Deposited
	// true
	// 4 partitions, 0 parked <nil>
	// <nil>
}
