package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

func TestFlaky(t *testing.T) {
	t.Run("appends fail before, are lost, lose their answer and come late", func(t *testing.T) {
		got := map[string]int{}
		for _, outcome := range flakyAppends(t, 1, 400) {
			got[outcome]++
		}
		for _, outcome := range []string{"taken", "unavailable", "unknown, taken", "unknown, not taken", "unknown, taken later"} {
			if got[outcome] == 0 {
				t.Errorf("no append was %q: %v", outcome, got)
			}
		}
		if len(got) != 5 {
			t.Errorf("outcomes that the contract does not know: %v", got)
		}
	})
	t.Run("one seed goes wrong in one way and another in another", func(t *testing.T) {
		a, b, c := flakyAppends(t, 7, 60), flakyAppends(t, 7, 60), flakyAppends(t, 8, 60)
		if !slices.Equal(a, b) {
			t.Errorf("the same seed gave\n%q and\n%q", a, b)
		}
		if slices.Equal(a, c) {
			t.Errorf("two seeds gave %q", a)
		}
	})
	t.Run("reads are cut in the middle and say so", func(t *testing.T) {
		inner := memstore.New(nil)
		log := Flaky(inner, nil)
		e := open(t, handles{})
		if _, err := inner.Append(e.ctx, driver.Batch{Events: e.events("item-1", 50)}); err != nil {
			t.Fatal(err)
		}
		cut := 0
		for range 200 {
			got, err := collect(e.ctx, log, everything, driver.ReadOptions{})
			if err == nil && len(got) != 50 {
				t.Fatalf("a read ended after %d of 50 as if that were the end", len(got))
			}
			if err != nil && !errors.Is(err, driver.ErrUnavailable) {
				t.Fatal(err)
			}
			if err != nil && len(got) > 0 {
				cut++
			}
		}
		if cut == 0 {
			t.Error("no read was cut")
		}
	})
	t.Run("Close waits for what is on its way", func(t *testing.T) {
		e := open(t, handles{})
		for seed := range uint64(40) {
			inner := memstore.New(nil)
			log := Flaky(newHandle(inner), &FlakyOptions{Seed: seed + 1, Rate: 1, MaxDelay: 2 * time.Millisecond})
			_, _ = log.Append(e.ctx, driver.Batch{Events: e.events("item-1", 1)})
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			before, _ := inner.Info(e.ctx)
			time.Sleep(3 * time.Millisecond)
			if after, _ := inner.Info(e.ctx); after.Head != before.Head {
				t.Fatalf("seed %d: an append took effect after Close", seed+1)
			}
		}
	})
}

// flakyAppends makes n appends through Flaky and says what came of each.
func flakyAppends(t *testing.T, seed uint64, n int) (outcomes []string) {
	e := open(t, handles{})
	inner := memstore.New(nil)
	log := Flaky(inner, &FlakyOptions{Seed: seed, MaxDelay: 2 * time.Millisecond})
	taken := func(id driver.ID) string {
		got, err := collect(e.ctx, inner, items(driver.Item{IDs: []driver.ID{id}}), driver.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return []string{"not taken", "taken"}[len(got)]
	}
	for range n {
		b := driver.Batch{Events: e.events("item-1", 1)}
		id := b.Events[0].ID
		_, err := log.Append(e.ctx, b)
		now := taken(id)
		switch {
		case err == nil:
			outcomes = append(outcomes, now)
		case errors.Is(err, driver.ErrUnavailable) && now == "not taken":
			outcomes = append(outcomes, "unavailable")
		case errors.Is(err, driver.ErrOutcomeUnknown):
			log.(*flaky).waitForLate(b)
			if later := taken(id); later != now {
				now = "taken later"
			}
			outcomes = append(outcomes, "unknown, "+now)
		default:
			outcomes = append(outcomes, fmt.Sprintf("%s, error %v", now, err))
		}
	}
	return outcomes
}
