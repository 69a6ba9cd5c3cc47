package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/statediff"
	"github.com/annals-db/annals/memstore"
)

// Shelf is a state of numbers by name, a list, and a total.
type Shelf struct {
	annals.Entity
	Items map[string]*Slot `json:"items"`
	Last  []string         `json:"last"`
	Total int              `json:"total"`
}

type Slot struct {
	N int `json:"n"`
}

type (
	Put struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	Took  struct{ Name string }
	Noted struct{ Text string }
)

var shelves = annals.NewModel("shelf",
	annals.Init(func(s *Shelf) { s.Items, s.Last = map[string]*Slot{}, []string{} }),
	annals.On(func(s *Shelf, e Put) {
		if s.Items[e.Name] == nil {
			s.Items[e.Name] = &Slot{}
		}
		s.Items[e.Name].N += e.N
		s.Total += e.N
		s.Last = append(s.Last, e.Name)
		if len(s.Last) > 3 {
			s.Last = slices.Clone(s.Last[1:])
		}
	}),
	annals.On(func(s *Shelf, e Took) {
		if slot := s.Items[e.Name]; slot != nil {
			s.Total -= slot.N
			delete(s.Items, e.Name)
		}
	}),
)

// shelfJQ is the same fold in jq.
const shelfJQ = `
	(if $event.version == 1 then {items: {}, last: [], total: 0} else . end) |
	if $event.type == "Put" then
		.items[$event.data.name].n += $event.data.n | .total += $event.data.n | .last = (.last + [$event.data.name])[-3:]
	elif $event.type == "Took" then
		.total -= (.items[$event.data.Name].n // 0) | del(.items[$event.data.Name])
	else . end`

// fixture is a log with a random stream, and what is known of it without package history.
type fixture struct {
	log     driver.Log
	db      *annals.DB
	stream  string
	records []annals.Record // of the stream
	states  []any           // after each version, from 0, by the Go model, as JSON
}

func newFixture(t *testing.T, seed uint64, n int) *fixture {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 11))
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	f := &fixture{log: log, db: annals.New(log, nil), stream: "shelf-a"}
	record := func(s *Shelf) error {
		name := string(rune('a' + rnd.IntN(5)))
		switch rnd.IntN(5) {
		case 0:
			return s.Record(Took{name})
		default:
			return s.Record(Put{name, rnd.IntN(9) - 4})
		}
	}
	for _, id := range []string{"a", "other"} {
		if _, err := shelves.Add(t.Context(), f.db, id, record); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < n; i++ {
		ctx := annals.WithActor(t.Context(), []string{"ann", "bob"}[rnd.IntN(2)])
		if _, err := shelves.Update(ctx, f.db, "a", record); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(2) == 0 {
			_, _ = shelves.Update(ctx, f.db, "other", record)
		}
	}
	f.read(t)
	return f
}

func (f *fixture) read(t *testing.T) {
	t.Helper()
	s := shelves.Start()
	f.records, f.states = nil, []any{asJSON(t, s)}
	for r, err := range f.log.Read(t.Context(), annals.Match(annals.QueryItem{Streams: []string{f.stream}}), annals.ReadOptions{}) {
		if err == nil {
			err = shelves.Apply(f.db, s, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.records, f.states = append(f.records, r), append(f.states, asJSON(t, s))
	}
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := fold.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func jq(t testing.TB, program string) history.Fold {
	t.Helper()
	f, err := history.JQ(program, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// both calls f with the history by the model and by the jq program, and the predicate total > n of each.
func (f *fixture) both(t *testing.T, fn func(t *testing.T, h *history.History, over func(n int) history.Predicate)) {
	t.Run("model", func(t *testing.T) {
		fn(t, history.Of(f.log, f.stream, history.Model(f.db, shelves)),
			func(n int) history.Predicate { return history.When(func(s *Shelf) bool { return s.Total > n }) })
	})
	t.Run("jq", func(t *testing.T) {
		fn(t, history.Of(f.log, f.stream, jq(t, shelfJQ)),
			func(n int) history.Predicate { return history.Holds(fmt.Sprintf(".total > %d", n)) })
	})
}

func total(state any) int { return state.(map[string]any)["total"].(int) }

func same(a, b any) bool { return len(statediff.Diff(a, b)) == 0 }

func text(v any) string {
	b, err := fold.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func seeds(t *testing.T, n int, fn func(t *testing.T, seed uint64, f *fixture)) {
	for seed := range uint64(n) {
		f := newFixture(t, seed, 3+int(seed*7)%60)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { fn(t, seed, f) })
	}
}

func appendTo(t testing.TB, log driver.Log, stream, typ, data string, metadata map[string]string) annals.Record {
	t.Helper()
	e := driver.Event{ID: annals.NewID(), Stream: stream, Type: typ, Data: []byte(data), Metadata: driver.NewMetadata(metadata)}
	r, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}})
	if err != nil {
		t.Fatal(err)
	}
	return annals.Record{Event: e, Position: r.First}
}
