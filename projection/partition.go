package projection

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// partition runs the events of one group of keys, in order. It belongs to one
// goroutine; only scanned is looked at by others.
type partition struct {
	r       *Runner
	n       int
	scanned atomic.Uint64 // everything up to here has taken effect or does not concern it

	saved  checkpoint // as it was seen last
	epoch  int
	fresh  bool      // nothing was looked at yet in this run
	looked time.Time // when the history was last compared with the checkpoint
	until  annals.Position
	bad    struct {
		position annals.Position
		attempts int
		failure  *Failure
		park     bool
	}
	faults int // of the target or the log, one after another
}

// failed is an event whose handler has failed.
type failed struct {
	rec   driver.Record
	first bool // nothing else was in its transaction
	err   error
}

func (f *failed) Error() string { return f.err.Error() }

var (
	errPaused  = errors.New("the projection is paused")
	errNothing = errors.New("there is nothing to do")
)

func (p *partition) reset() {
	p.scanned.Store(0)
	p.saved, p.epoch, p.fresh, p.until = checkpoint{}, 0, true, 0
	p.bad.position, p.bad.failure = 0, nil
}

// run handles events until ctx ends or something cannot be got past.
func (p *partition) run(ctx context.Context) error {
	for {
		err := p.advance(ctx)
		if ctx.Err() != nil {
			p.leave(ctx)
			return ctx.Err()
		}
		var f *failed
		var refused *CheckpointError
		switch {
		case err == nil:
			p.faults = 0
		case errors.Is(err, errPaused):
			pause(ctx, p.r.opts.Poll)
		case errors.As(err, &f):
			if err := p.failed(ctx, f); err != nil {
				return err
			}
		case errors.As(err, &refused), errors.Is(err, ErrRetired), errors.Is(err, driver.ErrClosed):
			return err
		default: // the target or the log
			p.faults++
			p.r.opts.Logger.Warn("projection: tried again", "projection", p.r.name, "version", p.r.version, "partition", p.n, "error", err)
			pause(ctx, min(10*time.Millisecond<<min(p.faults, 12), 5*time.Second))
		}
	}
}

// advance handles what there is, one transaction of it, or waits for more.
func (p *partition) advance(ctx context.Context) error {
	info, err := p.r.log.Info(ctx)
	if err != nil {
		return err
	}
	head := info.Head
	found := p.fresh || p.r.epoch.Load() != int64(p.epoch)
	if !found {
		if found, err = p.peek(ctx, head); err != nil {
			return err
		}
	}
	if found {
		return p.step(ctx, head, false)
	}
	if p.moved(annals.Position(p.scanned.Load())) && time.Since(p.looked) >= p.r.opts.Poll {
		return p.step(ctx, head, true)
	}
	wait, cancel := context.WithTimeout(ctx, p.r.opts.Poll)
	defer cancel()
	_, err = p.r.log.Wait(wait, annals.Position(p.scanned.Load()))
	if wait.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// moved reports whether the checkpoint in the target can be brought forward.
func (p *partition) moved(to annals.Position) bool {
	return p.saved.Position < to || p.saved.HeadAt < to
}

// peek reports whether something between what was scanned and head concerns
// the partition. Where nothing does, it was scanned.
func (p *partition) peek(ctx context.Context, head annals.Position) (bool, error) {
	at := annals.Position(p.scanned.Load())
	if head <= at {
		return head < at, nil // the log has lost its end: step says so
	}
	for rec, err := range p.r.log.Read(ctx, p.r.query, driver.ReadOptions{After: at, UpTo: head}) {
		if err != nil {
			return false, err
		}
		if p.r.partitionOf(&rec) == p.n {
			return true, nil
		}
	}
	p.at(head)
	return false, nil
}

// at says that everything up to position is done.
func (p *partition) at(position annals.Position) {
	p.scanned.Store(uint64(position))
	p.r.notify()
}

// step is one transaction: with the checkpoint locked it handles a batch of
// events and moves the checkpoint behind them. flush moves it although there
// was nothing to handle.
func (p *partition) step(ctx context.Context, head annals.Position, flush bool) error {
	var cp checkpoint
	err := p.r.update(ctx, func(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error) error {
		at, v, err := p.lock(ctx, b)
		if err != nil {
			return err
		}
		cp = *at
		from, err := p.from(ctx, &cp, v, head)
		if err != nil {
			return err
		}
		end := head
		if v.Hold != nil && now().Before(v.Hold.Until) {
			end = min(end, v.Hold.At)
		}
		if p.until > from {
			end = min(end, p.until)
		}
		done, n := min(from, end), 0
		if end <= from && done <= cp.Position && !(flush && p.moved(done)) {
			return errPausedIf(end < head)
		}
		done = max(done, cp.Position)
		if end > from {
			if done, n, err = p.batch(ctx, b, apply, &cp, from, end); err != nil {
				return err
			}
		}
		cp.Position, cp.Updated, cp.Failure = done, now(), nil
		if done == head && n == 0 {
			if err := p.takeHead(ctx, &cp); err != nil {
				return err
			}
		}
		return save(ctx, b, checkpointKey(p.r.name, p.r.version, p.n), cp)
	})
	if errors.Is(err, errNothing) { // another runner was faster
		p.r.notify()
		return nil
	}
	if err != nil {
		return err
	}
	if p.until > 0 && cp.Position >= p.until {
		p.until = 0
	}
	p.saved, p.looked = cp, time.Now()
	p.at(cp.Position)
	return nil
}

func errPausedIf(held bool) error {
	if held {
		return errPaused
	}
	return errNothing
}

// lock locks the checkpoint and looks at what the projection is to do.
func (p *partition) lock(ctx context.Context, b Book) (*checkpoint, *version, error) {
	cp, err := load[checkpoint](ctx, b.Lock, checkpointKey(p.r.name, p.r.version, p.n))
	if err != nil {
		return nil, nil, err
	}
	reg, err := load[registration](ctx, b.Load, registrationKey(p.r.name))
	if err != nil {
		return nil, nil, err
	}
	if reg == nil || reg.Versions[p.r.version] == nil || cp == nil {
		return nil, nil, fmt.Errorf("projection %s %s was dropped: %w", p.r.name, p.r.version, ErrRetired)
	}
	v := reg.Versions[p.r.version]
	switch {
	case v.State == Retired:
		return nil, nil, fmt.Errorf("projection %s %s: %w (%s)", p.r.name, p.r.version, ErrRetired, reg.Live)
	case v.Partitions != len(p.r.partitions):
		return nil, nil, fmt.Errorf("projection %s %s: it has %d partitions now, not %d: %w", p.r.name, p.r.version, v.Partitions, len(p.r.partitions), ErrRetired)
	case v.Paused:
		return nil, nil, errPaused
	}
	return cp, v, nil
}

// from returns the position to go on after: that of the checkpoint, or what was
// scanned since.
func (p *partition) from(ctx context.Context, cp *checkpoint, v *version, head annals.Position) (annals.Position, error) {
	known := !p.fresh && v.Epoch == p.epoch && cp.Position == p.saved.Position && cp.Updated.Equal(p.saved.Updated)
	if !known || cp.Position > head || time.Since(p.looked) >= p.r.opts.Poll {
		if err := p.r.check(ctx, p.n, cp, !known); err != nil {
			return 0, err
		}
	}
	p.epoch, p.fresh = v.Epoch, false
	if known {
		return max(cp.Position, annals.Position(p.scanned.Load())), nil
	}
	p.saved = *cp
	p.scanned.Store(uint64(cp.Position))
	return cp.Position, nil
}

// batch handles events between from and end. It returns the position up to
// which all is done, and how many events that was.
func (p *partition) batch(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error, cp *checkpoint, from, end annals.Position) (annals.Position, int, error) {
	began, n := time.Now(), 0
	var last driver.Record
	parked := parking{r: p.r, b: b}
	for rec, err := range p.r.log.Read(ctx, p.r.query, driver.ReadOptions{After: from, UpTo: end}) {
		if err != nil {
			if n > 0 && p.r.oneWay {
				end = last.Position
				break
			}
			return 0, 0, err
		}
		if p.r.partitionOf(&rec) != p.n {
			continue
		}
		waits := false
		if cp.Parked > 0 {
			if waits, err = parked.holds(ctx, p.r.key(&rec)); err != nil {
				return 0, 0, err
			}
		}
		switch {
		case waits:
			err = parked.add(ctx, cp, p.n, &rec, nil)
		case p.bad.park && rec.Position == p.bad.position:
			err = parked.add(ctx, cp, p.n, &rec, p.bad.failure)
		default:
			if err = apply(ctx, &rec); err != nil {
				err = &failed{rec, n == 0, err}
			}
		}
		if err != nil {
			if n > 0 && p.r.oneWay { // what is done cannot be undone; it comes first next time
				end = last.Position
				break
			}
			return 0, 0, err
		}
		n++
		last = rec
		if n == p.r.opts.Batch || n%16 == 0 && time.Since(began) >= p.r.opts.BatchTime {
			end = rec.Position
			break
		}
	}
	if n > 0 {
		cp.Last, cp.Leaf, cp.Time = last.Position, leaf(&last), last.Time
	}
	return end, n, nil
}
