package relay_test

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
)

// printer is a sink that prints.
type printer struct{}

func (printer) Publish(_ context.Context, messages []relay.Message) error {
	for i := range messages {
		fmt.Println(messages[i].Key, messages[i].ID, messages[i].Record.Type)
	}
	return nil
}

func Example() {
	ctx := context.Background()
	log := memstore.New(nil)
	for _, kind := range []string{"Placed", "Paid", "Sent"} {
		e := driver.Event{ID: uuid.New(), Stream: "order-1", Type: kind, Data: []byte(`{}`)}
		if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}}); err != nil {
			fmt.Println(err)
			return
		}
	}
	r, err := relay.New(log, "out", printer{}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = r.Drain(ctx) // Run goes on until ctx ends
	fmt.Println(err)
	// Output:
	// order-1 1 Placed
	// order-1 2 Paid
	// order-1 3 Sent
	// <nil>
}
