package history_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

// stocked is a log in which a laptop comes, is sold, and is renamed.
func stocked() driver.Log {
	log := memstore.New(nil)
	for _, e := range []struct{ typ, data, actor string }{
		{"Created", `{"name":"Laptop","quantity":10}`, "ann"},
		{"Sold", `{"quantity":7}`, "bob"},
		{"Renamed", `{"name":"Notebook"}`, "ann"},
		{"Sold", `{"quantity":2}`, "bob"},
	} {
		event := driver.Event{ID: annals.NewID(), Stream: "item-laptop", Type: e.typ, Data: []byte(e.data), Metadata: driver.NewMetadata(map[string]string{"actor": e.actor})}
		if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{event}}); err != nil {
			panic(err)
		}
	}
	return log
}

func ExampleHistory_Log() {
	h := history.Of(stocked(), "item-laptop", history.Merge())
	for e, err := range h.Log(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range e.Changes {
			fmt.Println(e.Record.Version, e.Record.Type, c.Kind, c.Path, c.Old, c.New)
		}
	}
	// Output:
	// 1 Created added .name <nil> Laptop
	// 1 Created added .quantity <nil> 10
	// 2 Sold set .quantity 10 7
	// 3 Renamed set .name Laptop Notebook
	// 4 Sold set .quantity 7 2
}

func ExampleHistory_Blame() {
	h := history.Of(stocked(), "item-laptop", history.Merge())
	origins, err := h.Blame(context.Background(), history.Point{}, nil)
	for _, o := range origins {
		fmt.Println(o.Path, o.Value, "since version", o.Record.Version, "by", o.Record.Metadata.Value("actor"))
	}
	fmt.Println(err)
	// Output:
	// .name Notebook since version 3 by ann
	// .quantity 2 since version 4 by bob
	// <nil>
}

func ExampleHistory_First() {
	h := history.Of(stocked(), "item-laptop", history.Merge())
	flip, err := h.First(context.Background(), history.Holds(".quantity < 5"))
	fmt.Println(flip.Record.Version, err)
	_, err = h.First(context.Background(), history.Holds(".quantity < 0"))
	fmt.Println(err)
	// Output:
	// 4 <nil>
	// not found: .quantity < 0 never holds in the 4 versions of "item-laptop"
}

func ExampleHistory_Bisect() {
	h := history.Of(stocked(), "item-laptop", history.Merge())
	b, err := h.Bisect(context.Background(), history.Holds(`.name == "Notebook"`), history.Version(0), history.Point{})
	fmt.Println(b.Record.Version, b.Holds, err)
	// Output: 3 true <nil>
}

func ExampleHistory_WhatIf() {
	h := history.Of(stocked(), "item-laptop", history.Merge())
	o, err := h.WhatIf(context.Background(), history.Point{}, history.Supposition{Without: []uint64{4}})
	for _, c := range o.Changes {
		fmt.Println(c.Path, c.Old, "->", c.New)
	}
	fmt.Println(err)
	// Output:
	// .quantity 2 -> 7
	// <nil>
}

func ExampleJQ() {
	f, err := history.JQ(`.events += 1 | .by[$event.metadata.actor] += 1`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	state, version, err := history.Of(stocked(), "item-laptop", f).State(context.Background(), history.Version(3))
	text, _ := json.Marshal(state)
	fmt.Println(string(text), version, err)
	// Output: {"by":{"ann":2,"bob":1},"events":3} 3 <nil>
}

func ExampleQuery() {
	w := history.Where{Metadata: map[string]string{"actor": "bob"}, Test: ".data.quantity < 5"}
	for r, err := range history.Query(context.Background(), stocked(), w, annals.ReadOptions{}) {
		fmt.Println(r.Position, r.Type, err)
	}
	// Output: 4 Sold <nil>
}
