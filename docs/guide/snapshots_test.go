package guide_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// code: snapshots
type Meter struct {
	annals.Entity
	Total int
}

type Metered struct{ Amount int }

var Meters = annals.NewModel("meter",
	annals.On(func(m *Meter, e Metered) { m.Total += e.Amount }),
).Snapshots(500, "v1") // each 500 events; "v2" once Meter or a handler changes

// end

func Example_snapshots() {
	ctx := context.Background()
	// code: off
	db := annals.New(memstore.New(nil), &annals.Options{
		CacheEntities: -1,   // keep no states in memory
		NoSnapshots:   true, // neither read nor write snapshots
	})
	// end
	with := annals.New(db.Log(), nil)
	Meters.Add(ctx, with, "m", func(m *Meter) (err error) {
		for range 1200 {
			err = errors.Join(err, m.Record(Metered{2}))
		}
		return err
	})
	for _, db := range []*annals.DB{db, with} {
		m, err := Meters.Load(db.View(ctx), "m")
		fmt.Println(m.Total, err)
	}
	// Output:
	// 2400 <nil>
	// 2400 <nil>
}
