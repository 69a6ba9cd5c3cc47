package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
)

// pending is an append on its way to the sequencer.
type pending struct {
	ctx      context.Context
	batch    driver.Batch
	bytes    int
	deadline time.Time
	known    driver.Position // up to where this node's copy could be read at first
	tries    int             // attempts whose outcome is not known
	state    atomic.Int32    // pendingQueued, …
	done     chan answer     // receives once
}

const (
	pendingQueued int32 = iota
	pendingSent
	pendingAbandoned // its caller no longer waits
)

func newPending(s *Store, ctx context.Context, b driver.Batch) *pending {
	p := &pending{ctx: ctx, batch: b, deadline: s.timeout(), done: make(chan answer, 1)}
	if info, err := s.log.Info(context.WithoutCancel(ctx)); err == nil {
		p.known = info.Head
	}
	for i := range b.Events {
		p.bytes += b.Events[i].Size() + 100
	}
	return p
}

// abandon reports whether p is never handed over any more.
func (p *pending) abandon() bool {
	return p.state.CompareAndSwap(pendingQueued, pendingAbandoned)
}

// send reports whether p is to be handed over.
func (p *pending) send() bool {
	return p.state.CompareAndSwap(pendingQueued, pendingSent) || p.state.Load() == pendingSent
}

// failed notes an attempt that ended with err.
func (p *pending) failed(err error) *pending {
	if mayBeTaken(err) {
		p.tries++
	}
	return p
}

// resolve gives p its answer.
func (p *pending) resolve(a answer) {
	if p.tries > 0 && a.receipt.First > p.known {
		a.receipt.Repeated = false // it was this append's own earlier attempt
	}
	p.done <- a
}

// lane takes appends to the sequencer in order: to this node's own copy while
// it leads, else over the network. It works in sessions, each with one
// sequencer in one epoch. When one ends, what is not answered is sent again in
// the next, in the same order; by then no earlier attempt can take effect any more.
type lane struct {
	s *Store

	mu     sync.Mutex
	queue  []*pending
	bytes  int
	room   *sync.Cond
	closed bool

	wake    chan struct{} // holds one if there may be something to do
	session uint64        // the last one's number
	done    chan struct{} // closed when run has ended
	idle    *sync.Cond    // the queue is empty and nothing is under way
	under   int           // appends added and not answered
}

const (
	laneBytes    = 64 << 20 // in the queue, before adding waits
	laneInFlight = 8 << 10  // appends handed over and not answered
)

func newLane(s *Store) *lane {
	l := &lane{s: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.room, l.idle = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	return l
}

// add puts p into the queue; it may wait while that is full.
func (l *lane) add(p *pending) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes > laneBytes && !l.closed && p.ctx.Err() == nil {
		stop := context.AfterFunc(p.ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.room.Broadcast()
		})
		l.room.Wait()
		stop()
	}
	if l.closed {
		p.done <- answer{err: driver.ErrClosed}
		return p
	}
	l.queue = append(l.queue, p)
	l.bytes += p.bytes
	l.under++
	signal(l.wake)
	return p
}

func (l *lane) stir() { signal(l.wake) }

// next takes up to n appends, or size bytes, off the front of the queue, at least one if there is one.
func (l *lane) next(n, size int) (out []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && n > 0 {
		p := l.queue[0]
		if len(out) > 0 && p.bytes > size {
			break
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.bytes -= p.bytes
		if !p.send() {
			l.answered(1)
			continue
		}
		if p.tries == 0 && time.Now().After(p.deadline) {
			p.resolve(answer{err: l.s.expired(p)})
			l.answered(1)
			continue
		}
		out = append(out, p)
		n, size = n-1, size-p.bytes
	}
	l.room.Broadcast()
	return out
}

// answered notes that n appends have their answer. mu is held.
func (l *lane) answered(n int) {
	if l.under -= n; l.under == 0 {
		l.idle.Broadcast()
	}
}

// resolve gives p its answer, and says that there is room.
func (l *lane) resolve(p *pending, a answer) {
	p.resolve(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered(1)
}

// again puts appends that have no answer back at the front.
func (l *lane) again(list []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range list {
		l.bytes += p.bytes
	}
	l.queue = append(list, l.queue...)
	signal(l.wake)
}

// expire answers what waited too long.
func (l *lane) expire() {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := l.queue[:0]
	for _, p := range l.queue {
		if now.Before(p.deadline) {
			keep = append(keep, p)
			continue
		}
		l.bytes -= p.bytes
		if p.send() {
			p.resolve(answer{err: l.s.expired(p)})
		}
		l.answered(1)
	}
	clear(l.queue[len(keep):])
	l.queue = keep
	l.room.Broadcast()
}

// close lets what was added be answered, and refuses more. What no sequencer
// takes is given up after the store's Timeout.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.room.Broadcast()
	for l.under > 0 && l.s.stopped() == nil {
		l.idle.Wait()
	}
}

// run works until the store is closed.
func (l *lane) run() {
	defer close(l.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for l.s.ctx.Err() == nil {
		r, changed := l.s.currentRole()
		if why := l.s.stopped(); why != nil {
			l.refuse(fmt.Errorf("append: %w: %w", driver.ErrReadOnly, why))
		} else if l.waiting() && r.epoch != 0 {
			failed := false
			if r.node == l.s.id {
				failed = l.local(r)
			} else {
				failed = l.remote(r)
			}
			if failed {
				select {
				case <-changed:
				case <-tick.C:
				case <-l.s.ctx.Done():
				}
			}
			l.expire()
			continue
		}
		select {
		case <-l.wake:
		case <-changed:
		case <-tick.C:
			l.expire()
		case <-l.s.ctx.Done():
		}
	}
	l.refuse(driver.ErrClosed)
}

func (l *lane) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}

// refuse answers everything in the queue with err.
func (l *lane) refuse(err error) {
	for {
		list := l.next(1<<20, 1<<40)
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			answerErr := err
			if p.tries > 0 {
				answerErr = fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, err)
			}
			l.resolve(p, answer{err: answerErr})
		}
	}
}

// local hands appends to this node's own copy until the queue is empty, or
// something fails; then it returns true.
func (l *lane) local(r role) (failed bool) {
	type handed struct {
		p     *pending
		await func() (driver.Receipt, error)
	}
	under := make(chan handed, laneInFlight)
	var lost atomic.Bool
	var again []*pending
	var collector sync.WaitGroup
	collector.Go(func() {
		for h := range under {
			receipt, err := h.await()
			a := l.s.confirmed(l.s.ctx, answer{receipt, err})
			if errors.Is(a.err, quorum.ErrNotLeading) {
				lost.Store(true)
				again = append(again, h.p.failed(a.err))
				continue
			}
			l.resolve(h.p, a)
		}
	})
	for !lost.Load() {
		list := l.next(1, 0)
		if len(list) == 0 {
			break
		}
		await, ok := l.s.submitIn(r.epoch, list[0].batch)
		if !ok {
			lost.Store(true)
			await = func() (driver.Receipt, error) { return driver.Receipt{}, quorum.ErrNotLeading }
		}
		under <- handed{list[0], await}
	}
	close(under)
	collector.Wait()
	if len(again) > 0 {
		l.again(again)
	}
	return lost.Load()
}
