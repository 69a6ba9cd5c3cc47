package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// maxGap is how many records an append catches up with at most for an inline
// projection, before its own.
const maxGap = 1000

// Inline opens the projection and has it handle events inside the transactions
// that append them: what an update has returned from is in the read model, and
// an event whose handler fails is not appended (others of its group are). The
// store must be a [driver.Inliner] whose transactions are of type T, and the
// target must be in its database. First the projection catches up.
//
// Every append through this handle of the log then waits for the handlers, one
// after the other; see the guide for what that costs. Appends by other
// processes do not run them: they are caught up with by the next append here,
// or by a [Runner] beside. remove ends it.
func (p *Projection[T]) Inline(ctx context.Context, db *annals.DB, target Target[T], opts *Options) (remove func(), err error) {
	fail := func(err error) (func(), error) {
		return nil, fmt.Errorf("projection %s %s: inline: %w", p.name, p.version, err)
	}
	log, ok := db.Log().(driver.Inliner)
	within, ours := target.(interface{ Within(tx T) Book })
	if !ok || !ours {
		return fail(fmt.Errorf("it takes a store in a SQL database, and a target there: %w", errors.ErrUnsupported))
	}
	r, err := p.Open(ctx, db, target, opts)
	if err != nil {
		return nil, err
	}
	if len(r.partitions) != 1 {
		return fail(fmt.Errorf("it has %d partitions: appends are one after the other, so take one", len(r.partitions)))
	}
	d, err := newDispatch(p, db)
	if err != nil {
		return fail(err)
	}
	if err := r.catchUp(ctx); err != nil {
		return fail(err)
	}
	if err := r.setInline(ctx, true); err != nil {
		return fail(err)
	}
	unhook := log.Inline(func(ctx context.Context, tx any, records []driver.Record) error {
		t, ok := tx.(T)
		if !ok {
			return fmt.Errorf("projection %s %s: the store's transactions are %T, its handlers take another type", p.name, p.version, tx)
		}
		return r.inline(p.within(ctx), within.Within(t), records, func(ctx context.Context, rec *driver.Record) error {
			return d.handle(ctx, t, rec)
		})
	})
	// What was appended between the two.
	if err := r.catchUp(ctx); err != nil {
		unhook()
		return fail(err)
	}
	return sync.OnceFunc(func() {
		unhook()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := r.setInline(ctx, false); err != nil {
			r.opts.Logger.Warn("projection: it is still registered as inline", "projection", r.name, "error", err)
		}
	}), nil
}

// setInline notes whether the version is part of appends.
func (r *Runner) setInline(ctx context.Context, inline bool) error {
	return r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Lock, registrationKey(r.name))
		if err != nil || reg == nil || reg.Versions[r.version] == nil || reg.Versions[r.version].Inline == inline {
			return err
		}
		reg.Versions[r.version].Inline = inline
		return save(ctx, b, registrationKey(r.name), reg)
	})
}

// catchUp runs until the log's head is reached.
func (r *Runner) catchUp(ctx context.Context) error {
	info, err := r.log.Info(ctx)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(run) }()
	err = r.Wait(ctx, info.Head)
	stop()
	<-ended
	return err
}

// inline handles records in the transaction that appends them.
func (r *Runner) inline(ctx context.Context, b Book, records []driver.Record, apply func(context.Context, *driver.Record) error) error {
	p := r.partitions[0]
	cp, _, err := p.lock(ctx, b)
	switch {
	case errors.Is(err, ErrRetired): // another version has taken its place
		return nil
	case errors.Is(err, errPaused):
		return fmt.Errorf("projection %s %s: it is inline, and paused: resume it", r.name, r.version)
	case err != nil:
		return fmt.Errorf("projection %s %s: inline: %w", r.name, r.version, err)
	}
	first := records[0].Position
	if gap := int64(first) - 1 - int64(cp.Position); gap > maxGap || gap < 0 {
		return fmt.Errorf("projection %s %s: inline: it is at position %d, the append at %d: run it until it has caught up", r.name, r.version, cp.Position, first)
	}
	parked := parking{r: r, b: b}
	if cp.Position < first-1 {
		for rec, err := range r.log.Read(ctx, annals.Query{}, driver.ReadOptions{After: cp.Position, UpTo: first - 1}) {
			if err != nil {
				return fmt.Errorf("projection %s %s: inline: catch up: %w", r.name, r.version, err)
			}
			if err := r.inlineOne(ctx, &parked, cp, &rec, apply); err != nil {
				return err
			}
		}
	}
	for i := range records {
		if err := r.inlineOne(ctx, &parked, cp, &records[i], apply); err != nil {
			return err
		}
	}
	last := &records[len(records)-1]
	cp.Position, cp.Time, cp.Updated, cp.Failure = last.Position, last.Time, now(), nil
	cp.Last, cp.Leaf = last.Position, leaf(last)
	return save(ctx, b, checkpointKey(r.name, r.version, 0), cp)
}

func (r *Runner) inlineOne(ctx context.Context, parked *parking, cp *checkpoint, rec *driver.Record, apply func(context.Context, *driver.Record) error) error {
	if !r.query.Matches(&rec.Event) {
		return nil
	}
	if err := r.partitions[0].one(ctx, parked, cp, rec, apply); err != nil {
		var f *failed
		if errors.As(err, &f) {
			return r.eventError(rec, 1, f.err)
		}
		return fmt.Errorf("projection %s %s: inline: %w", r.name, r.version, err)
	}
	return nil
}
