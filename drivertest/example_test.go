package drivertest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/memstore"
)

func ExampleFlaky() {
	ctx := context.Background()
	log := drivertest.Flaky(memstore.New(nil), &drivertest.FlakyOptions{Seed: 3, Rate: 0.9})
	defer log.Close()
	b := driver.Batch{Events: []driver.Event{{ID: driver.ID{1}, Stream: "item-laptop", Type: "ItemCreated"}}}

	// An append whose outcome is unknown, or that did not get through, is made
	// again with the same batch: whatever became of it, it is in the log once.
	receipt, err := log.Append(ctx, b)
	for errors.Is(err, driver.ErrOutcomeUnknown) || errors.Is(err, driver.ErrUnavailable) {
		receipt, err = log.Append(ctx, b)
	}
	fmt.Println(receipt.First, err)
	// Output: 1 <nil>
}
