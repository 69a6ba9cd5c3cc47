package annals

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
)

// gates put the updates that lost a race for the same entity or boundary in a
// queue, within this process. Without them a loser runs again into the same
// race, and one that decides slowly loses for ever against those that decide
// fast. A transaction holds at most one gate and waits only while it holds
// none, so gates cannot lock each other up. Conflicts between processes are
// left to backoff.
type gates struct {
	open atomic.Int64 // how many gates there are, to pass by without a lock
	mu   sync.Mutex
	m    map[string]*gate
}

type gate struct {
	gates *gates
	key   string
	users int           // holding or waiting
	token chan struct{} // goroutines that wait to receive are served in order
}

// gateKey returns what transactions with the condition c queue for.
func gateKey(c driver.Condition) string {
	if c.Kind == driver.NoneAfterKind {
		return "\x00" + c.Query.String() // no stream's name
	}
	return c.Stream
}

// maxQueue bounds the wait for a gate: an update within the function of another
// may wait for its own. Going on without the gate is never wrong.
const maxQueue = time.Second

// queue waits for its turn among those that lost for key.
func (tx *Tx) queue(key string) error {
	return tx.take(tx.db.gates.get(key, true))
}

// enter begins tx and, if others queue for the source, waits for its turn behind them.
func (tx *Tx) enter(src source) error {
	if tx.gate == nil && !tx.pinned && tx.db.gates.open.Load() > 0 {
		key := src.stream
		if key == "" {
			key = gateKey(driver.NoneAfter(src.q, 0))
		}
		if err := tx.take(tx.db.gates.get(key, false)); err != nil {
			return err
		}
	}
	return tx.begin()
}

func (tx *Tx) take(g *gate) error {
	if g == nil {
		return nil
	}
	timer := time.NewTimer(maxQueue)
	defer timer.Stop()
	select {
	case <-g.token:
		tx.gate = g
		return nil
	case <-timer.C:
		g.forget()
		return nil
	case <-tx.ctx.Done():
		g.forget()
		return tx.ctx.Err()
	}
}

// get returns the gate of key with its caller counted among the users.
func (gs *gates) get(key string, create bool) *gate {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.m[key]
	if g == nil {
		if !create {
			return nil
		}
		if gs.m == nil {
			gs.m = map[string]*gate{}
		}
		g = &gate{gates: gs, key: key, token: make(chan struct{}, 1)}
		g.token <- struct{}{}
		gs.m[key] = g
		gs.open.Add(1)
	}
	g.users++
	return g
}

// leave lets the next one in.
func (g *gate) leave() {
	if g != nil {
		g.token <- struct{}{}
		g.forget()
	}
}

func (g *gate) forget() {
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(g.gates.m, g.key)
		g.gates.open.Add(-1)
	}
}
