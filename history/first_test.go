package history_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
)

// naiveFlips returns the versions at which total > n begins or ceases to hold.
func naiveFlips(states []any, n int) (versions []int) {
	held := false
	for v := 1; v < len(states); v++ {
		if holds := total(states[v]) > n; holds != held {
			held, versions = holds, append(versions, v)
		}
	}
	return versions
}

func TestFirstAndFlips(t *testing.T) {
	seeds(t, 12, func(t *testing.T, seed uint64, f *fixture) {
		f.both(t, func(t *testing.T, h *history.History, over func(int) history.Predicate) {
			for n := -12; n < 12; n += 3 {
				want := naiveFlips(f.states, n)
				var got []int
				for flip, err := range h.Flips(t.Context(), over(n)) {
					if err != nil {
						t.Fatal(err)
					}
					if flip.Holds != (len(got)%2 == 0) {
						t.Fatalf("flip %d holds %v", len(got), flip.Holds)
					}
					got = append(got, int(flip.Record.Version))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("over %d: got %v, want %v", n, got, want)
				}
				first, err := h.First(t.Context(), over(n))
				if len(want) == 0 {
					if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "never holds") {
						t.Fatalf("got %v", err)
					}
				} else if err != nil || int(first.Record.Version) != want[0] {
					t.Fatalf("got %d, %v, want %d", first.Record.Version, err, want[0])
				}
			}
		})
	})
}
