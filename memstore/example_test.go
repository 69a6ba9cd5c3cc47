package memstore_test

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

func Example() {
	ctx := context.Background()
	log := memstore.New(nil)
	defer log.Close()

	created := driver.Event{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"quantity":10}`)}
	receipt, err := log.Append(ctx, driver.Batch{
		Events:     []driver.Event{created},
		Conditions: []driver.Condition{driver.StreamAbsent("item-laptop")},
	})
	fmt.Println(receipt.First, receipt.Versions, receipt.Durability, err)

	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		fmt.Println(r.Position, r.Stream, r.Type, string(r.Data), err)
	}
	// Output:
	// 1 [1] memory <nil>
	// 1 item-laptop ItemCreated {"quantity":10} <nil>
}
