package history_test

import (
	"errors"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/statediff"
)

func TestShow(t *testing.T) {
	f := newFixture(t, 3, 20)
	f.both(t, func(t *testing.T, h *history.History, _ func(int) history.Predicate) {
		for v := 2; v < len(f.states); v++ {
			s, err := h.Show(t.Context(), uint64(v))
			if err != nil || s.Record.ID != f.records[v-1].ID || !same(s.Before, f.states[v-1]) || !same(s.After, f.states[v]) ||
				changes(s.Changes) != changes(statediff.Diff(f.states[v-1], f.states[v])) || len(s.Batch) != 1 {
				t.Fatalf("version %d: got %+v, %v", v, s, err)
			}
			if len(s.Conditions) != 1 || s.Conditions[0].Kind != driver.StreamAtKind || s.Conditions[0].Version != uint64(v-1) {
				t.Fatalf("version %d: conditions %v", v, s.Conditions)
			}
		}
		for _, v := range []uint64{0, 21} {
			if _, err := h.Show(t.Context(), v); !errors.Is(err, annals.ErrNotFound) {
				t.Fatalf("version %d: got %v", v, err)
			}
		}
	})
}
