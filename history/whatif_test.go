package history_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/statediff"
)

func TestWhatIf(t *testing.T) {
	seeds(t, 6, func(t *testing.T, seed uint64, f *fixture) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		before, _ := f.log.Info(t.Context())
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for range 10 {
				drop := uint64(2 + rnd.IntN(max(len(f.records)-2, 1)))
				last := uint64(len(f.records))
				if drop > last {
					continue
				}
				extra := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"z","n":100}`)}, Version: last + 1}
				got, err := h.WhatIf(t.Context(), history.Point{}, history.Supposition{
					Without: []uint64{drop}, Extra: map[uint64][]annals.Record{last: {extra}}})
				if err != nil {
					t.Fatal(err)
				}
				s := shelves.Start()
				for _, r := range append(slices.Clone(f.records), extra) {
					if r.Version == drop {
						continue
					}
					if err := shelves.Apply(f.db, s, r); err != nil {
						t.Fatal(err)
					}
				}
				if want := asJSON(t, s); !same(got.Supposed, want) || !same(got.Actual, f.states[last]) ||
					changes(got.Changes) != changes(statediff.Diff(f.states[last], want)) {
					t.Fatalf("without %d: got %s, want %s", drop, text(got.Supposed), text(want))
				}
			}
			instead := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"q","n":7}`)}, Version: 1}
			got, err := h.WhatIf(t.Context(), history.Version(1), history.Supposition{Instead: map[uint64]annals.Record{1: instead}})
			if err != nil || total(got.Supposed) != 7 {
				t.Fatalf("instead: got %+v, %v", got, err)
			}
			before := annals.Record{Event: driver.Event{Type: "Put", Stream: f.stream, Data: []byte(`{"name":"zero","n":50}`)}}
			got, err = h.WhatIf(t.Context(), history.Version(1), history.Supposition{Without: []uint64{1}, Extra: map[uint64][]annals.Record{0: {before, before}}})
			if slot, ok := at(got.Supposed, history.Path{"items", "zero", "n"}); err != nil || !ok || slot != 100 {
				t.Fatalf("before the first: got %+v, %v", got, err)
			}
			got, err = h.WhatIf(t.Context(), history.Point{}, history.Supposition{Fold: jq(t, ".n += 1")})
			if err != nil || text(got.Supposed) != fmt.Sprintf(`{"n":%d}`, len(f.records)) {
				t.Fatalf("another fold: got %s, %v", text(got.Supposed), err)
			}
			for _, s := range []history.Supposition{{Without: []uint64{999}}, {Without: []uint64{0}}, {Instead: map[uint64]annals.Record{999: {}}},
				{Extra: map[uint64][]annals.Record{999: nil}}} {
				if _, err := h.WhatIf(t.Context(), history.Point{}, s); !errors.Is(err, annals.ErrNotFound) {
					t.Fatalf("got %v", err)
				}
			}
		})
		if after, _ := f.log.Info(t.Context()); after.Head != before.Head {
			t.Fatal("something was written")
		}
	})
}
