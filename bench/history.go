package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/history"
)

// The rows of package history: a stream of 100,000 events whose state is under
// 1 KB, by a fold in jq and by the same fold in Go; and one whose state is 100 KB.

const (
	historyEvents = 100_000
	largeEvents   = 5_000
	largeFields   = 1_000
)

type moved struct {
	Quantity int    `json:"quantity"`
	Country  string `json:"country"`
	Price    int64  `json:"price"`
}

type sales struct {
	annals.Entity
	Sold      int            `json:"sold"`
	N         int            `json:"n"`
	Countries map[string]int `json:"countries"`
	Last      string         `json:"last"`
}

var products = annals.NewModel("product",
	annals.Init(func(s *sales) { s.Countries = map[string]int{} }),
	annals.On(func(s *sales, e moved) {
		s.Sold += e.Quantity
		s.N++
		s.Countries[e.Country]++
		s.Last = e.Country
	}))

const salesJQ = `.sold += $event.data.quantity | .n += 1 | .countries[$event.data.country] += 1 | .last = $event.data.country`

// subject is a stream and what is asked of it.
type subject struct {
	name      string
	log       driver.Log
	fold      history.Fold
	predicate history.Predicate
}

func (s *subject) fresh() *history.History { return history.Of(s.log, "product-1", s.fold) }

// withStream opens a store with one long stream among others and calls fn.
func withStream(e env, events int, data func(i int) []byte, fn func(log driver.Log) (result, error)) (result, error) {
	dir, remove := e.scratch("history")
	defer remove()
	log, err := filestore.Open(dir, nil)
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	for i := 0; i < events; {
		var b driver.Batch
		for range 1000 {
			b.Events = append(b.Events,
				driver.Event{ID: annals.NewID(), Stream: "product-1", Type: "moved", Data: data(i)},
				driver.Event{ID: annals.NewID(), Stream: fmt.Sprint("product-", 2+i%50), Type: "moved", Data: data(i)})
			i++
		}
		if _, err := log.Append(context.Background(), b); err != nil {
			return result{}, err
		}
	}
	return fn(log)
}

func movedData(i int) []byte {
	return fmt.Appendf(nil, `{"quantity":%d,"country":"country %d","price":%d}`, i%13-3, i%20, 100+i%77)
}

func largeData(i int) []byte {
	return fmt.Appendf(nil, `{"quantity":1,"country":"field %04d","text":"%080d"}`, i%largeFields, i)
}

const largeJQ = `.sold += 1 | .fields[$event.data.country] = $event.data.text`

// onStream is a row that compares a question with one plain fold of the stream.
func onStream(language, name, aimText string, aim float64, ask func(s *subject) (float64, error)) row {
	return row{fmt.Sprintf("%s of a 100,000-event stream, state under 1 KB, %s", name, language), aimText, func(e env) (result, error) {
		return withStream(e, historyEvents, movedData, func(log driver.Log) (result, error) {
			s, err := newSubject(log, language, salesJQ)
			if err != nil {
				return result{}, err
			}
			return s.compare(e, aim, ask)
		})
	}}
}

func newSubject(log driver.Log, language, program string) (*subject, error) {
	s := &subject{name: language, log: log}
	if language == "Go" {
		s.fold = history.Model(annals.New(log, nil), products)
		s.predicate = history.When(func(s *sales) bool { return s.N > 60_000 })
		return s, nil
	}
	var err error
	s.fold, err = history.JQ(program, nil)
	s.predicate = history.Holds(".n > 60000")
	return s, err
}

func (s *subject) compare(e env, aim float64, ask func(s *subject) (float64, error)) (result, error) {
	e.rounds = min(e.rounds, 5)
	c, err := measure.Compare(e.rounds, s.plain, func() (float64, error) { return ask(s) })
	return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, aim), err
}

// plain is one plain fold of the stream.
func (s *subject) plain() (float64, error) {
	type without struct{ driver.Log } // a state, in which states on the way are kept
	return took(func() error {
		_, _, err := history.Of(without{s.log}, "product-1", s.fold).State(context.Background(), history.Point{})
		return err
	})
}

func took(fn func() error) (float64, error) {
	began := time.Now()
	err := fn()
	return time.Since(began).Seconds(), err
}

func blame(s *subject) (float64, error) {
	return took(func() error {
		_, err := s.fresh().Blame(context.Background(), history.Point{}, nil)
		return err
	})
}

// first looks at every version, since what it asks never holds.
func first(s *subject) (float64, error) {
	never := history.Holds(".sold < -1000000")
	if s.name == "Go" {
		never = history.When(func(s *sales) bool { return s.Sold < -1_000_000 })
	}
	return took(func() error {
		_, err := s.fresh().First(context.Background(), never)
		if !errors.Is(err, annals.ErrNotFound) {
			return fmt.Errorf("first found something, or failed: %w", err)
		}
		return nil
	})
}

func bisect(h *history.History, p history.Predicate) (float64, error) {
	return took(func() error {
		_, err := h.Bisect(context.Background(), p, history.Version(0), history.Point{})
		return err
	})
}

// bisectFirst forgets what other bisections have kept.
func bisectFirst(s *subject) (float64, error) {
	if err := forget(s.log); err != nil {
		return 0, err
	}
	return bisect(s.fresh(), s.predicate)
}

func forget(log driver.Log) error {
	kv := log.(driver.Stater).State()
	var keys []string
	for key, err := range kv.Keys(context.Background(), "history/") {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if err := kv.Delete(context.Background(), key, driver.AnyRevision); err != nil {
			return err
		}
	}
	return nil
}

// bisectAgain asks for the second time: in jq another history of the stream, as
// in another process, in Go the same one.
func bisectAgain() func(s *subject) (float64, error) {
	var asked *history.History
	return func(s *subject) (float64, error) {
		if asked == nil {
			asked = s.fresh()
			if _, err := bisect(asked, s.predicate); err != nil {
				return 0, err
			}
		}
		if s.name == "Go" {
			return bisect(asked, s.predicate)
		}
		return bisect(s.fresh(), s.predicate)
	}
}

func historyRows() []row {
	var rows []row
	for _, language := range []string{"jq", "Go"} {
		rows = append(rows,
			onStream(language, "`blame`", "4 × one plain fold", 4, blame),
			onStream(language, "`first`, to the end", "1.5 × one plain fold", 1.5, first),
			onStream(language, "`bisect`, the first time", "1.5 × one plain fold", 1.5, bisectFirst),
			onStream(language, "`bisect`, repeated", "0.1 × one plain fold", 0.1, bisectAgain()))
	}
	return append(rows, foldRow(),
		largeRow("`blame`", blame), largeRow("`first`, to the end", first), largeRow("`bisect`, the first time", bisectFirst), largeRow("`bisect`, repeated", bisectAgain()),
		gitRow())
}

func foldRow() row {
	return row{"a fold in jq of a 100,000-event stream", "5 × the same fold in Go", func(e env) (result, error) {
		return withStream(e, historyEvents, movedData, func(log driver.Log) (result, error) {
			inGo, err := newSubject(log, "Go", "")
			if err != nil {
				return result{}, err
			}
			inJQ, err := newSubject(log, "jq", salesJQ)
			if err != nil {
				return result{}, err
			}
			c, err := measure.Compare(e.rounds, inGo.plain, inJQ.plain)
			return atMost(measure.Duration(c.Ours), measure.Duration(c.Base), c.Ratio, 5), err
		})
	}}
}

// largeRow is a figure, without an aim.
func largeRow(name string, ask func(s *subject) (float64, error)) row {
	return row{fmt.Sprintf("%s of a 5,000-event stream, state 100 KB, jq", name), "the figure, against one plain fold", func(e env) (result, error) {
		return withStream(e, largeEvents, largeData, func(log driver.Log) (result, error) {
			s, err := newSubject(log, "jq", largeJQ)
			if err != nil {
				return result{}, err
			}
			s.predicate = history.Holds(".sold > 3000")
			r, err := s.compare(e, 1e9, ask)
			return r, err
		})
	}}
}
