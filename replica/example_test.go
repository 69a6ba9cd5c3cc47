package replica_test

import (
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/replica"
)

// Two nodes of one log: what is appended at one can be read at the other.
func Example() {
	dir, err := os.MkdirTemp("", "annals-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	servers, system := shared.URL, shared.System // nats://app:…@a,nats://app:…@b,nats://app:…@c, and with credentials of the system account

	north, err := replica.Open(ctx, servers, dir+"/north", &replica.Options{Name: "example", Node: "north", System: system})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer north.Close()
	south, err := replica.Open(ctx, servers, dir+"/south", &replica.Options{Name: "example", Node: "south", System: system})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer south.Close()

	receipt, err := south.Append(ctx, driver.Batch{
		Events:     []driver.Event{{ID: uuid.New(), Stream: "item-laptop", Type: "ItemCreated", Data: []byte(`{"Name":"Laptop"}`)}},
		Conditions: []driver.Condition{driver.StreamAbsent("item-laptop")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("position", receipt.First, receipt.Durability)
	if _, err := north.Wait(ctx, receipt.Last-1); err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range north.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		fmt.Println(r.Stream, r.Version, r.Type, err)
	}
	// Output:
	// position 1 ordered by quorum, applied on 1
	// item-laptop 1 ItemCreated <nil>
}
