package replica

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lease says which node may claim the sequencer's place: a key in the cluster
// that its holder renews. Safety does not hang on it, the stream sees to that.
// It keeps nodes from taking over from each other, and while it is valid no
// other node can have claimed, so that what was judged here was judged by the
// newest state.
//
// A node may take it when it has seen it unchanged for Takeover on its own
// clock. The holder trusts it for two thirds of that from when it began to renew it.
type lease struct {
	s       *Store
	kv      jetstream.KeyValue
	changes chan struct{} // receives when it may have been given up, taken or lost
	urge    chan struct{} // has it renewed, or looked at, at once

	busy sync.Mutex // held while the key is read or written

	mu       sync.Mutex
	value    leaseValue
	revision uint64
	seen     time.Time // when this revision was first seen
	mine     bool
	valid    time.Time // until when it is trusted
	renewed  chan struct{}
	gone     bool // the store is closing; it is not taken again
}

// leaseValue is what is under the key, as JSON.
type leaseValue struct {
	Node     string `json:"node"`            // ID of the holder
	Name     string `json:"name"`            // its name
	Epoch    uint64 `json:"epoch,omitempty"` // that it leads, 0 if it does not yet
	Sequence uint64 `json:"sequence"`        // of the stream, as far as the holder knows
	Released bool   `json:"released,omitempty"`
	Count    uint64 `json:"count"` // of renewals, so that no two values are equal
}

const leaseKey = "lease"

func newLease(s *Store, kv jetstream.KeyValue) *lease {
	return &lease{s: s, kv: kv, changes: make(chan struct{}, 1), urge: make(chan struct{}, 1), renewed: make(chan struct{})}
}

func (l *lease) subject() string { return "annals." + l.s.opts.Name + ".lease" }

// open has other nodes' word that they gave it up looked into at once.
func (l *lease) open() error {
	_, err := l.s.nc.Subscribe(l.subject(), func(*nats.Msg) {
		l.poll()
		l.notify()
	})
	return err
}

// run renews the lease, or looks who has it, until the store is closed.
func (l *lease) run() {
	tick := time.NewTicker(l.s.opts.Takeover / 6)
	defer tick.Stop()
	for {
		if l.held() {
			l.renew()
		} else {
			l.poll()
		}
		select {
		case <-tick.C:
		case <-l.urge:
		case <-l.s.ctx.Done():
			return
		}
	}
}

func (l *lease) notify() { signal(l.changes) }

// signal puts one into c, which has room for one, unless it has it already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine
}

// trusted reports whether the lease is this node's for certain. A node that
// was paused, or cut off from the key, holds one that another may have by now:
// if it claimed by that, the other would still answer by a state that is no
// longer the newest.
func (l *lease) trusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine && time.Now().Before(l.valid)
}

// sequence is that of the stream as far as the holder has said.
func (l *lease) sequence() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value.Sequence
}

// context bounds a request about the key.
func (l *lease) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(l.s.ctx), l.s.opts.Takeover/2)
}

// poll looks who has it.
func (l *lease) poll() {
	l.busy.Lock()
	defer l.busy.Unlock()
	ctx, cancel := l.context()
	defer cancel()
	_ = l.read(ctx)
}

// read reads the key. busy is held.
func (l *lease) read(ctx context.Context) error {
	entry, err := l.kv.Get(ctx, leaseKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		l.note(leaseValue{Released: true}, 0)
		return nil
	}
	if err != nil {
		return err
	}
	var v leaseValue
	if err := json.Unmarshal(entry.Value(), &v); err != nil {
		v = leaseValue{} // not ours; it expires like any other
	}
	l.note(v, entry.Revision())
	return nil
}

// note takes in what the key is.
func (l *lease) note(v leaseValue, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen.IsZero() {
		l.notify()
	}
	if revision != l.revision || l.seen.IsZero() {
		l.seen = time.Now()
	}
	l.value, l.revision = v, revision
	if mine := v.Node == l.s.id.String() && !v.Released; l.mine && !mine {
		l.mine, l.valid = false, time.Time{}
		l.notify()
	}
	if id, err := parseNodeID(v.Node); err == nil && v.Epoch > 0 && !v.Released {
		l.s.setRole(role{node: id, name: v.Name, epoch: v.Epoch})
	}
}

// take takes the lease where it is free.
func (l *lease) take() {
	if !l.free() || !l.busy.TryLock() {
		return
	}
	defer l.busy.Unlock()
	if l.free() {
		l.write(leaseValue{})
	}
}

func (l *lease) free() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mine || l.gone || l.seen.IsZero() {
		return false
	}
	return l.value.Released || time.Since(l.seen) > l.s.opts.Takeover
}

// renew renews the lease, which is this node's.
func (l *lease) renew() {
	l.busy.Lock()
	defer l.busy.Unlock()
	l.mu.Lock()
	v, mine := l.value, l.mine
	l.mu.Unlock()
	if mine {
		l.write(v)
	}
}

// announce tells the others that this node leads epoch.
func (l *lease) announce(epoch uint64) {
	l.mu.Lock()
	l.value.Epoch = epoch
	l.mu.Unlock()
	signal(l.urge)
}

// write puts v under the key as this node's, if it is still at the revision
// that was read. busy is held.
func (l *lease) write(v leaseValue) bool {
	l.mu.Lock()
	revision := l.revision
	v.Node, v.Name, v.Sequence, v.Count = l.s.id.String(), l.s.opts.Node, l.s.sequence.Load(), l.value.Count+1
	l.mu.Unlock()
	data, err := json.Marshal(v)
	if err != nil {
		return false
	}
	ctx, cancel := l.context()
	defer cancel()
	sent := time.Now()
	if revision == 0 {
		revision, err = l.kv.Create(ctx, leaseKey, data)
	} else {
		revision, err = l.kv.Update(ctx, leaseKey, data, revision)
	}
	if err != nil {
		// It may be there all the same, its acknowledgement lost, or another's.
		if l.read(ctx) != nil || !l.is(v) {
			return false
		}
		l.mu.Lock()
		revision = l.revision
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Epoch == 0 || l.value.Epoch > v.Epoch {
		v.Epoch = l.value.Epoch // announced meanwhile
	}
	if !l.mine {
		v.Epoch = 0
		l.notify()
	}
	l.value, l.revision, l.seen, l.mine = v, revision, time.Now(), !v.Released
	l.valid = sent.Add(l.s.opts.Takeover * 2 / 3)
	close(l.renewed)
	l.renewed = make(chan struct{})
	return true
}

// is reports whether v is what is under the key.
func (l *lease) is(v leaseValue) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value == v
}

// confirm returns when it is certain that no other node had claimed when it
// was called; false if that will not be so.
func (l *lease) confirm(ctx context.Context) bool {
	for asked := false; ; asked = true {
		l.mu.Lock()
		mine, valid, renewed := l.mine, time.Now().Before(l.valid), l.renewed
		l.mu.Unlock()
		if valid && mine {
			return true
		}
		if !mine || ctx.Err() != nil || l.s.ctx.Err() != nil {
			return false
		}
		if !asked {
			signal(l.urge)
		}
		wait, cancel := context.WithTimeout(ctx, l.s.opts.Takeover)
		select {
		case <-renewed:
		case <-wait.Done():
		case <-l.s.ctx.Done():
		}
		cancel()
	}
}

// release gives the lease up, if it is this node's, and tells the others.
func (l *lease) release() {
	l.busy.Lock()
	defer l.busy.Unlock()
	stopped := l.s.stopped() != nil
	l.mu.Lock()
	mine := l.mine
	l.gone = l.gone || l.s.ctx.Err() != nil || stopped
	l.mu.Unlock()
	if !mine {
		return
	}
	if l.write(leaseValue{Released: true}) {
		_ = l.s.nc.Publish(l.subject(), nil)
		_ = l.s.nc.FlushTimeout(time.Second)
	}
}
