package simtest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// turns decides who goes on: every step of a client and every change of the
// disk waits for its turn, and one at a time gets it.
type turns struct {
	mu      sync.Mutex
	waiting []*turn
	free    bool   // nobody waits any more: the process is dead
	last    string // who has this in its name waits longest, unless it is ""
}

type turn struct {
	who string
	ch  chan struct{}
}

// wait returns when it is who's turn.
func (t *turns) wait(who string) {
	t.mu.Lock()
	if t.free {
		t.mu.Unlock()
		return
	}
	w := &turn{who, make(chan struct{})}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	<-w.ch
}

// release lets everybody go on, now and from now on.
func (t *turns) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = true
	for _, w := range t.waiting {
		close(w.ch)
	}
	t.waiting = nil
}

// laggards are who may be made to wait longest: what is done in the background
// falls behind only then.
var laggards = []string{"", "", "", ".idx", ".idx", ".seg", "mark", "dir", "sync", "write", "writer 0"}

// hold makes everybody wait again.
func (t *turns) hold(last string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free, t.last = false, last
}

// step waits until nobody can go on without a turn and gives one to somebody.
// Where everybody waits for time to pass, it lets it. It returns who got the
// turn, "" if nobody wants one.
func (t *turns) step(r *rand.Rand) string {
	for range 5 {
		synctest.Wait()
		if w := t.pick(r); w != nil {
			close(w.ch)
			return w.who
		}
		time.Sleep(2 * time.Second) // the bubble's time, which costs nothing
	}
	return ""
}

// wants reports whether, once nobody can go on without a turn, somebody wants
// one for what has in its name.
func (t *turns) wants(in string) bool {
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.waiting, func(w *turn) bool { return strings.Contains(w.who, in) })
}

func (t *turns) pick(r *rand.Rand) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return nil
	}
	// Those that came at once came in any order.
	slices.SortStableFunc(t.waiting, func(a, b *turn) int { return strings.Compare(a.who, b.who) })
	k := r.IntN(len(t.waiting))
	for n := 0; n < 6 && t.last != "" && strings.Contains(t.waiting[k].who, t.last); n++ {
		k = r.IntN(len(t.waiting))
	}
	w := t.waiting[k]
	t.waiting = slices.Delete(t.waiting, k, k+1)
	return w
}
