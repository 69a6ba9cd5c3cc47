package group_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/memstore"
)

func ExampleGroup_Run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := memstore.New(nil)
	for _, item := range []string{"a", "b", "a"} {
		log.Append(ctx, driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: "item-" + item, Type: "Moved", Data: []byte("{}")}}})
	}

	// Any number of workers may run this, in one process or several.
	g := group.New(annals.New(log, nil), "shelves", annals.Match(annals.QueryItem{Types: []string{"Moved"}}), &group.Options{
		Partitions: 1, // so that the example has one order
	})
	err := g.Run(ctx, func(ctx context.Context, r annals.Record) error {
		fmt.Println(r.Position, r.Stream)
		if r.Position == 3 {
			cancel() // here only
		}
		return nil
	})
	fmt.Println(errors.Is(err, context.Canceled))

	s, err := group.Inspect(context.Background(), log, "shelves")
	fmt.Println(s.Partitions[0].Position, len(s.Parked), err)
	// Output:
	// 1 item-a
	// 2 item-b
	// 3 item-a
	// true
	// 3 0 <nil>
}
