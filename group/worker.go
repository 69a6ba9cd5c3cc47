package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
	"github.com/google/uuid"
)

// worker is one run of a group.
type worker struct {
	g       *Group
	handler Handler
	state   driver.State
	keeper  *lease.Keeper
	kept    kept
	id      string // among the members
	process string
	alone   bool
	began   time.Time
	seen    map[string]sight // beats of other members
	parts   map[int]*part    // that run here
	ended   chan *part
}

// Run takes part in the group: it takes its share of the partitions and calls
// handler for their events, several partitions at once, until ctx ends, whose
// error it then returns. It gives its partitions back before it returns. Any
// other error says why it cannot go on; losing a partition to another is none.
func (g *Group) Run(ctx context.Context, handler Handler) error {
	if err := g.run(ctx, handler); err != nil {
		return fmt.Errorf("group %q: %w", g.name, err)
	}
	return nil
}

func (g *Group) run(ctx context.Context, handler Handler) error {
	state, keeper, err := g.keeper()
	if err != nil {
		return err
	}
	w := &worker{
		g: g, handler: handler, state: state, keeper: keeper, id: uuid.NewString(), process: lease.Process,
		alone: keeper.Alone(), began: time.Now(), seen: map[string]sight{}, parts: map[int]*part{}, ended: make(chan *part),
	}
	if w.kept, err = g.register(ctx, state); err != nil {
		return err
	}
	defer w.stop(ctx)
	tick := time.NewTicker(max(g.opts.Lease/10, time.Millisecond))
	defer tick.Stop()
	for {
		if err := w.turn(ctx); err != nil && ctx.Err() == nil {
			if !passing(err) {
				return err
			}
			g.opts.Logger.Warn("the group's state cannot be reached", "group", g.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-w.ended:
			if delete(w.parts, p.n); p.err != nil {
				return fmt.Errorf("partition %d: %w", p.n, p.err)
			}
		case <-tick.C:
		}
	}
}

// passing reports whether what failed may succeed later.
func passing(err error) bool {
	return errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) || errors.Is(err, driver.ErrRevision)
}

func (w *worker) elapsed() time.Duration { return time.Since(w.began) }

// turn says that the worker is alive, watches the partitions of others, and
// takes or gives back partitions until it has its share.
func (w *worker) turn(ctx context.Context) error {
	share, err := w.beat(ctx)
	if err != nil {
		return err
	}
	held := 0
	for _, p := range w.parts {
		if !p.stopped() {
			held++
		}
	}
	for _, p := range w.parts {
		if held > share && !p.stopped() {
			p.stop()
			held--
		}
	}
	first := int(w.id[0]) // workers do not all begin with the same one
	for i := range w.kept.Partitions {
		n := (first + i) % w.kept.Partitions
		if w.parts[n] != nil {
			continue
		}
		if held >= share {
			if _, err := w.keeper.Watch(ctx, partitionKey(w.g.name, n)); err != nil {
				return err
			}
			continue
		}
		l, err := w.keeper.Acquire(ctx, partitionKey(w.g.name, n))
		var other *lease.HeldError
		switch {
		case errors.As(err, &other):
		case err != nil:
			return err
		default:
			w.start(ctx, n, l)
			held++
		}
	}
	return nil
}

// start runs a partition that the worker has the lease of.
func (w *worker) start(ctx context.Context, n int, l *lease.Lease) {
	w.g.opts.Logger.Info("partition taken", "group", w.g.name, "partition", n, "worker", w.g.opts.Worker, "token", l.Token())
	ctx, lost := context.WithCancel(ctx)
	p := &part{w: w, n: n, lease: l, turn: make(chan struct{}, 1)}
	p.going, p.stop = context.WithCancel(ctx)
	w.parts[n] = p
	go func() {
		p.err = p.run(ctx, lost)
		w.ended <- p
	}()
}

// stop waits for every partition and takes the worker off the list.
func (w *worker) stop(ctx context.Context) {
	for _, p := range w.parts {
		p.stop()
	}
	for range w.parts {
		<-w.ended
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.keeper.TTL())
	defer cancel()
	if err := w.leave(ctx); err != nil {
		w.g.opts.Logger.Warn("the worker stays on the group's list until its lease has run out", "group", w.g.name, "error", err)
	}
}
