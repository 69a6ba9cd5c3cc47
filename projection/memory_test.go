package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/annals-db/annals/projection"
)

type inMemory struct{ Levels map[string]Level }

func memoryLevels(poison *int, seen *int) *projection.Projection[*inMemory] {
	return projection.New("memory", projection.On(func(_ context.Context, s *inMemory, e Moved, _ projection.Envelope) error {
		if *seen++; poison != nil && e.Quantity == *poison {
			return errors.New("unlucky")
		}
		l := s.Levels[e.SKU]
		s.Levels[e.SKU] = Level{l.Quantity + e.Quantity, l.Moves + 1}
		return nil
	}))
}

func TestMemory(t *testing.T) {
	db := memory(t)
	make := func() *inMemory { return &inMemory{Levels: map[string]Level{}} }
	view := func(m *projection.Memory[inMemory]) map[string]string {
		got := map[string]string{}
		m.View(func(s *inMemory) {
			for k, l := range maps.All(s.Levels) {
				got[k] = fmt.Sprint(l.Quantity, l.Moves)
			}
		})
		return got
	}
	for n := range 40 {
		move(t, db, fmt.Sprint("sku", n%7), n)
	}
	m, seen, poison := projection.NewMemory(db.Log(), make, nil), 0, 13
	r := start(t, memoryLevels(nil, &seen), db, m, quick)
	must(t, r.Wait(patient(t), 40))
	equal(t, "the state", view(m), folded(t, db))
	_ = r.stop()
	equal(t, "handled", seen, 40)

	t.Run("goes on from the snapshot", func(t *testing.T) {
		last := move(t, db, "a", 1)
		m, seen := projection.NewMemory(db.Log(), make, nil), 0
		r := start(t, memoryLevels(nil, &seen), db, m, quick)
		must(t, r.Wait(patient(t), last))
		equal(t, "the state", view(m), folded(t, db))
		_ = r.stop()
		equal(t, "handled", seen, 1)
	})
	t.Run("a failure in the middle of a batch neither skips nor doubles", func(t *testing.T) {
		m, seen := projection.NewMemory(db.Log(), make, &projection.MemoryOptions{SnapshotEvery: -1}), 0
		r := start(t, memoryLevels(&poison, &seen), db, m, with(func(o *projection.Options) { o.OnError = projection.DeadLetter }))
		must(t, r.Wait(patient(t), 41))
		want := folded(t, db) // 13 and later ones of sku6 are dead letters
		want["sku6"] = "6 1"
		equal(t, "the state", view(m), want)
		poison = -1
		if _, err := r.Retry(t.Context(), "item-sku6", true); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("tried dry what cannot be undone: %v", err)
		}
		equal(t, "the state", view(m), want)
		if _, err := r.Retry(t.Context(), "item-sku6", false); err != nil {
			t.Fatal(err)
		}
		equal(t, "the state", view(m), folded(t, db))
	})
	t.Run("is reset", func(t *testing.T) {
		m, seen := projection.NewMemory(db.Log(), make, nil), 0
		r := start(t, memoryLevels(nil, &seen), db, m, quick)
		must(t, r.Wait(patient(t), 41))
		must(t, projection.NewControl(db.Log(), m).Reset(t.Context(), "memory", ""))
		eventually(t, "it comes back", func() bool { return fmt.Sprint(view(m)) == fmt.Sprint(folded(t, db)) })
	})
}
