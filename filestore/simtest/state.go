package simtest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// stateKey is what may be under a key of the store's state: what was saved
// last and acknowledged, or any of what came after it without an answer.
// "" stands for nothing.
type stateKey struct {
	allowed map[string]bool
}

var stateKeys = []string{"checkpoint/a", "lease b", "snapshot-ü"}

// key returns what may be under name.
func (h *history) key(name string) *stateKey {
	k := h.state[name]
	if k == nil {
		k = &stateKey{allowed: map[string]bool{"": true}}
		h.state[name] = k
	}
	return k
}

// stater saves, loads and deletes keys of the state. There is never more than
// one at a time.
func (w *world) stater(quota int) {
	s, ok := w.log.(driver.Stater)
	if !ok || s.State() == nil {
		return
	}
	r := rand.New(rand.NewPCG(w.seed, uint64(w.n*100+90)))
	for range quota {
		w.turns.wait("stater")
		if w.stop.Load() || w.dead.Load() {
			return
		}
		w.changeState(s.State(), one(r, stateKeys), r)
		w.turns.wait("stater answered")
		if w.stop.Load() || w.dead.Load() {
			return
		}
		w.checkState(s.State())
	}
}

// changeState saves or deletes one key.
func (w *world) changeState(s driver.State, name string, r *rand.Rand) {
	k := w.history.key(name)
	value := fmt.Sprintf("%d-%d-%x", w.n, r.Uint32(), make([]byte, one(r, paddings)))
	if chance(r, 15) {
		value = ""
	}
	_, found, err := w.load(s, name)
	if err != nil {
		w.stateFailed("load "+name, err)
		return
	}
	expect, wrong := found, chance(r, 10)
	switch {
	case wrong:
		expect = found + 1 + r.Uint64N(5)
	case chance(r, 20):
		expect = driver.AnyRevision
	}
	if value == "" && found == 0 {
		return
	}
	before := k.allowed
	k.allowed = maps.Clone(before)
	k.allowed[value] = true
	var revision uint64
	if value == "" {
		err = s.Delete(w.ctx, name, expect)
	} else {
		revision, err = s.Save(w.ctx, name, []byte(value), expect)
	}
	if w.dead.Load() {
		return
	}
	w.say("stater: %q at revision %d becomes %.20q: %d, %v", name, expect, value, revision, err)
	switch {
	case err == nil && wrong:
		w.fail("state %q was changed at revision %d by who expected %d", name, found, expect)
	case err == nil:
		k.allowed = map[string]bool{value: true}
	case wrong && errors.Is(err, driver.ErrRevision):
		k.allowed = before
	default:
		w.stateFailed("change "+name, err)
	}
}

// load returns what is under name, "" and revision 0 if nothing is.
func (w *world) load(s driver.State, name string) (string, uint64, error) {
	value, revision, err := s.Load(w.ctx, name)
	if errors.Is(err, driver.ErrNotFound) {
		return "", 0, nil
	}
	return string(value), revision, err
}

// checkState compares the state with what may be in it.
func (w *world) checkState(s driver.State) {
	for _, name := range slices.Sorted(maps.Keys(w.history.state)) {
		value, _, err := w.load(s, name)
		if w.dead.Load() {
			return
		}
		if err != nil {
			w.stateFailed("load "+name, err)
			continue
		}
		k := w.history.key(name)
		if !k.allowed[value] {
			w.fail("state %q is %.40q, may be %.40q", name, value, slices.Sorted(maps.Keys(k.allowed)))
		}
		if !w.upset.Load() {
			k.allowed = map[string]bool{value: true} // what was read stays
		}
	}
}

// stateFailed decides whether the state may have failed so.
func (w *world) stateFailed(what string, err error) {
	switch {
	case w.dead.Load() || w.ctx.Err() != nil || w.upset.Load():
	case w.wasFull.Load() && errors.Is(err, simfs.ErrFull):
	case w.reading.Load() && errors.Is(err, simfs.ErrIO):
	case w.stop.Load() && errors.Is(err, driver.ErrClosed):
	default:
		w.fail("%s: %w", what, err)
	}
}
