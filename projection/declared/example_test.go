package declared_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/projection/declared"
)

// A declaration as a configuration file has it, and a read model of it.
func Example() {
	var d declared.Declaration
	if err := json.Unmarshal([]byte(`{"query": ["type=Sold"], "fold": ".sold += $event.data.n"}`), &d); err != nil {
		fmt.Println(err)
		return
	}
	log := memstore.New(nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for n := 1; n <= 3; n++ {
		e := driver.Event{ID: uuid.New(), Stream: "item-pen", Type: "Sold", Data: fmt.Appendf(nil, `{"n":%d}`, n)}
		if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := run(ctx, &d, log); err != nil {
		fmt.Println(err)
	}
	// Output: map[sold:6]
}

func run(ctx context.Context, d *declared.Declaration, log driver.Log) error {
	versions, err := d.Versions("sales", "")
	if err != nil {
		return err
	}
	target, err := declared.OpenTarget(ctx, versions[0].Target, log)
	if err != nil {
		return err
	}
	defer target.Close()
	runner, err := versions[0].Open(ctx, target, nil)
	if err != nil {
		return err
	}
	go runner.Run(ctx)
	if err := runner.Wait(ctx, 3); err != nil {
		return err
	}
	docs, err := projection.NewDocuments(log)
	if err != nil {
		return err
	}
	return docs.View(ctx, func(tx *projection.Docs) error {
		pen, err := projection.NewCollection[map[string]int]("sales").Get(tx, "item-pen")
		fmt.Println(pen)
		return err
	})
}
