package move_test

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/move"
)

func Example() {
	ctx := context.Background()
	from := memstore.New(nil)
	_, err := from.Append(ctx, driver.Batch{Events: []driver.Event{
		{ID: uuid.New(), Stream: "item-1", Type: "ItemCreated", Data: []byte(`{"quantity":10}`)},
		{ID: uuid.New(), Stream: "item-1", Type: "ItemSold", Data: []byte(`{"amount":3}`)},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := from.Info(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	to := memstore.New(&memstore.Options{LogID: info.LogID})
	result, err := move.Copy(ctx, from, to, nil)
	fmt.Println(result.Records, "records, up to position", result.Head, err)
	// Output: 2 records, up to position 2 <nil>
}
