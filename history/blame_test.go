package history_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/statediff"
	"github.com/annals-db/annals/memstore"
)

// naiveBlame returns the last version at which the value at p became another.
func naiveBlame(states []any, p history.Path) int {
	for v := len(states) - 1; v > 0; v-- {
		x, okX := at(states[v-1], p)
		y, okY := at(states[v], p)
		if okX != okY || !same(x, y) {
			return v
		}
	}
	return 0
}

func TestBlame(t *testing.T) {
	seeds(t, 12, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
			states := slices.Clone(f.states)
			states[0], _, _ = h.State(t.Context(), history.Version(0)) // the jq fold begins with {}
			for _, version := range []int{1, len(states) / 2, len(states) - 1} {
				if version == 0 {
					continue
				}
				origins, err := h.Blame(t.Context(), history.Version(uint64(version)), nil)
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				statediff.Leaves(nil, states[version], func(p history.Path, v any) {
					o := origins[found]
					found++
					want := naiveBlame(states[:version+1], p)
					if o.Path.String() != p.String() || !same(o.Value, v) || int(o.Record.Version) != want {
						t.Fatalf("version %d: %s = %s by %d, want %s = %s by %d", version, o.Path, text(o.Value), o.Record.Version, p, text(v), want)
					}
				})
				if found != len(origins) {
					t.Fatalf("%d origins of %d fields", len(origins), found)
				}
			}
			path, _ := history.ParsePath(".total")
			one, err := h.Blame(t.Context(), history.Point{}, path)
			if err != nil || len(one) != 1 || one[0].Path.String() != ".total" {
				t.Fatalf("got %v, %v", one, err)
			}
			if _, err := h.Blame(t.Context(), history.Point{}, history.Path{"ghost"}); !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), ".ghost") {
				t.Fatalf("got %v", err)
			}
		})
	})
}

func TestBlameOfRandomPatches(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		log := memstore.New(nil)
		states := []any{map[string]any{}}
		for range 25 {
			patch := randomPatch(rnd, 3)
			appendTo(t, log, "doc-1", "Patched", text(patch), nil)
			state, _, err := fold.Merge().Over(t.Context(), log.Read(t.Context(), annals.Query{}, annals.ReadOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, state)
		}
		origins, err := history.Of(log, "doc-1", history.Merge()).Blame(t.Context(), history.Point{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range origins {
			if want := naiveBlame(states, o.Path); int(o.Record.Version) != want {
				t.Fatalf("seed %d: %s by version %d, want %d", seed, o.Path, o.Record.Version, want)
			}
		}
	}
}

func randomPatch(rnd *rand.Rand, depth int) any {
	m := map[string]any{}
	for range 1 + rnd.IntN(2) {
		name := string(rune('a' + rnd.IntN(3)))
		switch rnd.IntN(6) {
		case 0:
			m[name] = nil
		case 1:
			m[name] = []any{rnd.IntN(2), map[string]any{"x": rnd.IntN(2)}}[:rnd.IntN(3)]
		case 2, 3:
			if depth > 0 {
				m[name] = randomPatch(rnd, depth-1)
			}
		default:
			m[name] = rnd.IntN(3)
		}
	}
	return m
}
