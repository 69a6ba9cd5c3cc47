package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/lease"
)

// part is a partition that runs here. One goroutine delivers, one keeps the
// lease and the position, one delivers again what was parked.
type part struct {
	w     *worker
	n     int
	lease *lease.Lease
	going context.Context    // ends when no further event is to be dealt with
	stop  context.CancelFunc // ends it; the event in hand is dealt with to its end
	err   error              // why it could not go on, set when it has ended

	turn   chan struct{}  // held while an event is dealt with
	parked map[string]int // how many are parked, by key; turn guards it

	mu      sync.Mutex
	at      checkpoint
	changed bool // at has changed since it was kept
	events  int  // that were dealt with since
}

func (p *part) stopped() bool { return p.going.Err() != nil }

// run delivers until it is stopped or the lease is lost, and gives the lease
// back. ctx is the handler's.
func (p *part) run(ctx context.Context, lost context.CancelFunc) error {
	defer lost()
	err := p.begin(ctx)
	if err == nil {
		kept, done := context.WithCancel(ctx)
		var keep, replay sync.WaitGroup
		keep.Go(func() { p.keep(kept, lost) })
		replay.Go(func() { p.replay(ctx) })
		if err = p.deliver(ctx); p.stopped() {
			err = nil // whoever has the partition next goes on
		}
		p.stop()
		replay.Wait()
		done()
		keep.Wait()
	}
	p.stop()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.w.keeper.TTL())
	defer cancel()
	if p.commit(release) == nil {
		_ = p.lease.Release(release) // else it runs out
	}
	if errors.Is(err, lease.ErrLost) || err != nil && (ctx.Err() != nil || passing(err)) {
		err = nil
	}
	return err
}

// begin reads where the partition stands and fences what is parked.
func (p *part) begin(ctx context.Context) error {
	p.at = checkpoint{Position: p.w.kept.After}
	if v := p.lease.Value(); v != nil {
		if err := json.Unmarshal(v, &p.at); err != nil {
			return fmt.Errorf("its position is damaged: %w", err)
		}
	}
	if err := p.verify(ctx); err != nil {
		return err
	}
	p.parked = map[string]int{}
	return p.shelf(ctx, func(s *shelf) bool {
		clear(p.parked)
		for _, e := range s.Parked {
			p.parked[e.Key]++
		}
		return s.Token < p.lease.Token()
	})
}

// verify checks that the log is the one the position is of.
func (p *part) verify(ctx context.Context) error {
	info, err := p.w.g.db.Log().Info(ctx)
	if err != nil {
		return err
	}
	if p.at.Position > info.Head {
		return fmt.Errorf("it has dealt with events up to position %d, and the log ends at %d: the log was restored from an older backup", p.at.Position, info.Head)
	}
	if p.at.Last == 0 {
		return nil
	}
	for r, err := range p.w.g.db.Log().Read(ctx, annals.Query{}, annals.ReadOptions{After: p.at.Last - 1, UpTo: p.at.Last}) {
		if err != nil {
			return err
		}
		if r.ID != p.at.Event {
			return fmt.Errorf("it has dealt with event %s at position %d, where the log has %s: the log was restored from a backup and went another way", p.at.Event, p.at.Last, r.ID)
		}
	}
	return nil
}

// deliver subscribes and deals with the partition's events.
func (p *part) deliver(ctx context.Context) error {
	g := p.w.g
	for n, err := range g.db.Subscribe(p.going, g.query, &annals.SubscribeOptions{After: p.at.Position, Progress: true}) {
		if p.stopped() {
			return nil
		}
		if err != nil {
			return err
		}
		mine := false
		if n.Position > 0 {
			if key := g.key(&n.Record); partition(key, p.w.kept.Partitions) == p.n {
				mine = true
				if err := p.deal(ctx, n.Record, key); err != nil {
					return err
				}
			}
		}
		if p.advance(&n, mine) {
			if err := p.commit(ctx); err != nil && !passing(err) {
				return err
			}
		}
	}
	return nil
}

// advance notes how far the partition is, and reports whether that is to be kept now.
func (p *part) advance(n *annals.Notification, mine bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Position = n.Scanned
	if mine {
		p.at.Last, p.at.Event = n.Position, n.ID
		p.changed = true
		p.events++
	}
	return p.events >= p.w.g.opts.CommitEvery
}

// commit keeps the position, and the lease with it.
func (p *part) commit(ctx context.Context) error {
	p.mu.Lock()
	b, err := json.Marshal(p.at)
	events := p.events
	p.changed = false
	p.mu.Unlock()
	if err == nil {
		err = p.lease.Save(ctx, b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.changed = true
		return err
	}
	p.events -= events
	return nil
}

// keep renews the lease and keeps the position, until ctx ends.
// When the lease is lost it ends the handler's context.
func (p *part) keep(ctx context.Context, lost context.CancelFunc) {
	renew := p.w.keeper.TTL() / 4
	tick := time.NewTicker(min(renew, p.w.g.opts.CommitInterval))
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		due := p.changed || time.Since(last) >= renew
		p.mu.Unlock()
		if !due {
			continue
		}
		if err := p.commit(ctx); err == nil {
			last = time.Now()
		} else if errors.Is(err, lease.ErrLost) || !p.lease.Valid() {
			p.w.g.opts.Logger.Warn("partition lost", "group", p.w.g.name, "partition", p.n, "error", err)
			p.stop()
			lost()
			return
		}
	}
}

// pause waits for d, or returns why not to go on.
func (p *part) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.going.Done():
		return p.going.Err()
	}
}
