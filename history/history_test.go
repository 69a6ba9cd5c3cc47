package history_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/statediff"
	"github.com/annals-db/annals/memstore"
)

func TestState(t *testing.T) {
	seeds(t, 8, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for _, prepared := range []bool{false, true} {
				if prepared {
					if err := h.Prepare(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for v := 1; v < len(f.states); v++ {
					rec := f.records[v-1]
					for _, p := range []history.Point{history.Version(uint64(v)), history.Position(rec.Position)} {
						got, version, err := h.State(t.Context(), p)
						if err != nil || version != uint64(v) || !same(got, f.states[v]) {
							t.Fatalf("version %d: got %d, %s, %v, want %s", v, version, text(got), err, text(f.states[v]))
						}
					}
					got, version, err := h.Until(history.Position(rec.Position)).State(t.Context(), history.Point{})
					if err != nil || version != uint64(v) || !same(got, f.states[v]) {
						t.Fatalf("until %d: got %d, %s, %v", rec.Position, version, text(got), err)
					}
				}
			}
			got, version, err := h.State(t.Context(), history.Time(f.records[0].Time.Add(-1)))
			if err != nil || version != 0 {
				t.Fatalf("before the first: got %d, %v, %v", version, got, err)
			}
			for _, p := range []history.Point{history.Version(uint64(len(f.states))), history.Position(100000)} {
				if _, _, err := h.State(t.Context(), p); !errors.Is(err, annals.ErrNotFound) {
					t.Errorf("beyond the end: got %v", err)
				}
			}
		})
	})
}

func TestLog(t *testing.T) {
	seeds(t, 6, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			v := 0
			for e, err := range h.Log(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				v++
				before := f.states[v-1]
				if v == 1 {
					before, _, _ = h.State(t.Context(), history.Version(0))
				}
				want := statediff.Diff(before, f.states[v])
				if e.Record.ID != f.records[v-1].ID || changes(e.Changes) != changes(want) {
					t.Fatalf("version %d: got %s, want %s", v, changes(e.Changes), changes(want))
				}
			}
			if v != len(f.records) {
				t.Fatalf("%d entries of %d", v, len(f.records))
			}
		})
	})
}

func changes(cs []history.Change) string {
	var out []string
	for _, c := range cs {
		out = append(out, fmt.Sprintf("%s %s %s %s", c.Kind, c.Path, text(c.Old), text(c.New)))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func TestDiff(t *testing.T) {
	seeds(t, 4, func(t *testing.T, seed uint64, f *fixture) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			for range 30 {
				a, b := 1+rnd.IntN(len(f.records)), 1+rnd.IntN(len(f.records))
				got, err := h.Diff(t.Context(), history.Version(uint64(a)), history.Version(uint64(b)))
				if want := statediff.Diff(f.states[a], f.states[b]); err != nil || changes(got) != changes(want) {
					t.Fatalf("%d to %d: got %s, %v, want %s", a, b, changes(got), err, changes(want))
				}
			}
			other := history.Of(f.log, "shelf-other", jq(t, shelfJQ))
			x, _, _ := h.State(t.Context(), history.Point{})
			y, _, _ := other.State(t.Context(), history.Point{})
			got, err := history.DiffOf(t.Context(), h, history.Point{}, other, history.Point{})
			if err != nil || changes(got) != changes(statediff.Diff(x, y)) {
				t.Fatalf("two entities: got %s, %v", changes(got), err)
			}
		})
	})
}

// at returns the value at path p, and whether there is one.
func at(state any, p history.Path) (any, bool) {
	for _, step := range p {
		switch s := state.(type) {
		case map[string]any:
			name, _ := step.(string)
			next, ok := s[name]
			if !ok {
				return nil, false
			}
			state = next
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(s) {
				return nil, false
			}
			state = s[i]
		default:
			return nil, false
		}
	}
	return state, true
}

func TestAModelThatCannotBeCopied(t *testing.T) {
	type odd struct {
		N int
		F func() `json:"-"`
	}
	m := annals.NewModel("odd", annals.On(func(s *odd, e Put) { s.N += e.N }))
	log := memstore.New(nil)
	for i := range 20 {
		appendTo(t, log, "odd-1", "Put", fmt.Sprintf(`{"name":"x","n":%d}`, i), nil)
	}
	h := history.Of(log, "odd-1", history.Model(annals.New(log, nil), m))
	b, err := h.Bisect(t.Context(), history.When(func(s *odd) bool { return s.N >= 100 }), history.Version(0), history.Point{})
	if err != nil || b.Record.Version != 15 {
		t.Errorf("got %+v, %v", b, err)
	}
	o, err := h.Blame(t.Context(), history.Point{}, nil)
	if err != nil || len(o) != 1 || o[0].Record.Version != 20 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	f := newFixture(t, 5, 60)
	h := history.Of(f.log, f.stream, jq(t, shelfJQ))
	errs := make(chan error, 8)
	for g := range 8 {
		go func() {
			v := uint64(1 + g*7)
			_, err := h.Bisect(t.Context(), history.Holds(".total > 3"), history.Version(0), history.Point{})
			got, _, stateErr := h.State(t.Context(), history.Version(v))
			if stateErr == nil && !same(got, f.states[v]) {
				stateErr = fmt.Errorf("version %d: got %s", v, text(got))
			}
			if errors.Is(err, annals.ErrNotFound) {
				err = nil
			}
			errs <- errors.Join(err, stateErr)
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
