package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// The models of the rows that measure the modelling API.

type item struct {
	annals.Entity
	Name     string
	Quantity int
}

type itemCreated struct {
	Name     string
	Quantity int
}

type quantityDecreased struct {
	SKU      string
	Quantity int
	Price    int64
	Reason   string
}

var items = annals.NewModel("item",
	annals.On(func(i *item, e itemCreated) { i.Name, i.Quantity = e.Name, e.Quantity }),
	annals.On(func(i *item, e quantityDecreased) { i.Quantity -= e.Quantity }),
)

func (i *item) sell(n int) error {
	if n > i.Quantity {
		return fmt.Errorf("only %d of %s left", i.Quantity, i.Name)
	}
	return i.Record(quantityDecreased{SKU: "laptop-15-inch", Quantity: n, Price: 129900, Reason: "sold-web"})
}

type enrolled struct{ Course, Student string }

func (e enrolled) Tags() []string { return []string{"course:" + e.Course, "student:" + e.Student} }

type seats struct{ Taken int }

var courses = annals.NewModel("course", annals.On(func(s *seats, _ enrolled) { s.Taken++ }))

// perWriter is how many entities each writer works on, in turn.
const perWriter = 16

// createItems makes the entities of so many writers.
func createItems(db *annals.DB, writers int) ([][]string, error) {
	ids := make([][]string, writers)
	for w := range ids {
		for n := range perWriter {
			id := fmt.Sprintf("%03d-%02d", w, n)
			ids[w] = append(ids[w], id)
			_, err := items.Add(context.Background(), db, id, func(i *item) error {
				return i.Record(itemCreated{Name: "laptop", Quantity: 1 << 50})
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

func updateRow() row {
	const writers, aim = 64, 0.5
	return row{"`Items.Update` of a cached entity, 64 writers", "0.5 of raw", func(e env) (result, error) {
		var ids [][]string
		var db *annals.DB
		turns := make([]int, writers)
		return againstRaw(e, writers, 1, aim, func(log *filestore.Store) (float64, error) {
			if db == nil {
				db = annals.New(log, nil)
				var err error
				if ids, err = createItems(db, writers); err != nil {
					return 0, err
				}
			}
			return measure.Rate(e.window, writers, func(w int) (int, error) {
				turns[w]++
				_, err := items.Update(context.Background(), db, ids[w][turns[w]%perWriter], func(i *item) error { return i.sell(1) })
				return 1, err
			})
		})
	}}
}

func latencyRow() row {
	return row{"the same over 1 million events, segment changes included: p99 against median", "under 5 times", func(e env) (result, error) {
		const writers, aim = 64, 5
		dir, remove := e.scratch("latency")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		db := annals.New(log, nil)
		ids, err := createItems(db, writers)
		if err != nil {
			return result{}, err
		}
		took := make([][]time.Duration, writers)
		err = measure.Together(writers, func(w int) error {
			for n := range e.many / writers {
				began := time.Now()
				_, err := items.Update(context.Background(), db, ids[w][n%perWriter], func(i *item) error { return i.sell(1) })
				if err != nil {
					return err
				}
				took[w] = append(took[w], time.Since(began))
			}
			return nil
		})
		if err != nil {
			return result{}, err
		}
		all := slices.Concat(took...)
		slices.Sort(all)
		mid, p99, most := all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
		return atMost(fmt.Sprintf("p99 %v, most %v", p99.Round(10*time.Microsecond), most.Round(100*time.Microsecond)),
			fmt.Sprintf("median %v", mid.Round(10*time.Microsecond)), float64(p99)/float64(mid), aim), nil
	}}
}

// perCourse is how many students a course takes; a writer then goes on to the next one.
const perCourse = 10

func decisionRow() row {
	const writers, aim = 64, 0.4
	return row{"a decision by tags and types (one fold, one append), 64 writers, disjoint tags", "0.4 of raw", func(e env) (result, error) {
		var db *annals.DB
		turns := make([]int, writers)
		return againstRaw(e, writers, 1, aim, func(log *filestore.Store) (float64, error) {
			if db == nil {
				db = annals.New(log, nil)
			}
			return decisionRate(e, db, turns)
		})
	}}
}

// decisionRate is decisions a second: whether a course takes one more student.
func decisionRate(e env, db *annals.DB, turns []int) (float64, error) {
	return measure.Rate(e.window, len(turns), func(w int) (int, error) {
		n := turns[w]
		turns[w]++
		course, student := fmt.Sprintf("%d-%d", w, n/perCourse), fmt.Sprintf("%d-%d", w, n)
		_, err := db.Update(context.Background(), func(tx *annals.Tx) error {
			s, err := courses.Fold(tx, "course:"+course)
			if err != nil {
				return err
			}
			if s.Taken >= perCourse {
				return fmt.Errorf("course %s is full", course)
			}
			return tx.Append(enrolled{course, student})
		})
		return 1, err
	})
}

// loadRow loads so many entities in turn.
func loadRow(name string, entities int) row {
	return row{name, "within 1.5 × decoding the payloads", func(e env) (result, error) {
		const events, aim = 1000, 1.5
		dir, remove := e.scratch("load")
		defer remove()
		log, err := filestore.Open(dir, nil)
		if err != nil {
			return result{}, err
		}
		defer log.Close()
		if err := fillEntities(log, entities, events); err != nil {
			return result{}, err
		}
		payloads := make([][][]byte, entities)
		for i := range payloads {
			if payloads[i], err = payloadsOf(log, items.Stream(entityID(i)), events); err != nil {
				return result{}, err
			}
		}
		db := annals.New(log, &annals.Options{CacheEntities: -1, NoSnapshots: true})
		turn := 0
		c, err := measure.Compare(e.rounds,
			func() (float64, error) {
				return measure.Seconds(measure.Each(e.window, func() error {
					turn++
					return decodePayloads(payloads[turn%entities])
				}))
			},
			func() (float64, error) {
				return measure.Seconds(measure.Each(e.window, func() error {
					turn++
					_, err := items.Load(db.View(context.Background()), entityID(turn%entities))
					return err
				}))
			})
		return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, aim), err
	}}
}

func entityID(i int) string { return fmt.Sprintf("laptop-%d", i) }

func decodePayloads(payloads [][]byte) error {
	for _, p := range payloads {
		var ev quantityDecreased
		if err := codec.JSON.Unmarshal(p, &ev); err != nil {
			return err
		}
	}
	return nil
}

// fillEntities gives so many items so many events each, among those of each
// other and, where there is one item only, of others.
func fillEntities(log driver.Log, entities, events int) error {
	ctx := context.Background()
	db := annals.New(log, nil)
	made := max(entities, 2)
	for i := range made {
		_, err := items.Add(ctx, db, entityID(i), func(i *item) error {
			return i.Record(itemCreated{Name: "laptop", Quantity: 1 << 50})
		})
		if err != nil {
			return err
		}
	}
	return measure.Together(made, func(i int) error {
		for range events - 1 {
			if _, err := items.Update(ctx, db, entityID(i), func(i *item) error { return i.sell(1) }); err != nil {
				return err
			}
		}
		return nil
	})
}

func payloadsOf(log driver.Log, stream string, events int) (payloads [][]byte, err error) {
	for r, err := range log.Read(context.Background(), driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}, driver.ReadOptions{}) {
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, r.Data)
	}
	if len(payloads) != events {
		return nil, fmt.Errorf("the entity has %d events, want %d", len(payloads), events)
	}
	return payloads, nil
}
