package history_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/memstore"
)

func TestFailures(t *testing.T) {
	log := memstore.New(nil)
	for i := range 5 {
		appendTo(t, log, "c-1", "Counted", fmt.Sprintf(`{"by":%d}`, i), nil)
	}
	h := history.Of(log, "c-1", jq(t, `if $event.version == 4 then error("boom") else .n += 1 end`))
	fails := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "version 4 of c-1") || !strings.Contains(err.Error(), "boom") {
			t.Errorf("got %v", err)
		}
	}
	_, _, err := h.State(t.Context(), history.Point{})
	fails(err)
	_, err = h.Blame(t.Context(), history.Point{}, nil)
	fails(err)
	_, err = h.First(t.Context(), history.Holds(".n > 99"))
	fails(err)
	_, err = h.Bisect(t.Context(), history.Holds(".n > 99"), history.Version(0), history.Point{})
	fails(err)
	_, err = h.WhatIf(t.Context(), history.Point{}, history.Supposition{})
	fails(err)
	if got, _, err := h.State(t.Context(), history.Version(3)); err != nil || text(got) != `{"n":3}` {
		t.Errorf("before the failure: got %s, %v", text(got), err)
	}
	ghost := history.Of(log, "ghost", history.Merge())
	_, err = ghost.First(t.Context(), history.Holds("true"))
	if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("got %v", err)
	}
	for _, p := range []history.Predicate{history.Holds("("), history.Holds("now > 1"), history.When(func(*Shelf) bool { return true })} {
		if _, err := history.Of(log, "c-1", history.Merge()).First(t.Context(), p); err == nil {
			t.Errorf("predicate %s was taken", p)
		}
	}
	if _, err := history.Of(log, "c-1", history.Merge()).First(t.Context(), history.Holds("empty")); err == nil {
		t.Error("a predicate without output was taken")
	}
}

type upOld struct{ X int }
type upNew struct{ Y int }

var _ = annals.Upcast("history-test-up", func(o upOld) upNew {
	if o.X == 3 {
		panic("cannot go up")
	}
	return upNew{o.X}
})

func TestAnUpcasterThatFailsNamesTheEvent(t *testing.T) {
	type upState struct{ Sum int }
	m := annals.NewModel("up", annals.On(func(s *upState, e upNew) { s.Sum += e.Y }))
	log := memstore.New(nil)
	for i := range 5 {
		appendTo(t, log, "up-1", "history-test-up", fmt.Sprintf(`{"X":%d}`, i), nil)
	}
	h := history.Of(log, "up-1", history.Model(annals.New(log, nil), m))
	if got, _, err := h.State(t.Context(), history.Version(3)); err != nil || text(got) != `{"Sum":3}` {
		t.Errorf("got %s, %v", text(got), err)
	}
	_, _, err := h.State(t.Context(), history.Point{})
	if err == nil || !strings.Contains(err.Error(), "position 4") || !strings.Contains(err.Error(), "cannot go up") {
		t.Errorf("got %v", err)
	}
}
