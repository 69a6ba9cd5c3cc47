package projection

import (
	"context"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
)

// failed does what the options say about an event whose handler has failed. It
// returns an error where the projection stops.
func (p *partition) failed(ctx context.Context, f *failed) error {
	// A target that went away is no fault of the event.
	if err := p.r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		_, err := b.Load(ctx, registrationKey(p.r.name))
		return err
	}); err != nil {
		p.faults++
		pause(ctx, min(10*time.Millisecond<<min(p.faults, 12), 5*time.Second))
		return nil
	}
	if f.whole && !f.first {
		return nil // until says how much is tried next
	}
	if !f.first { // what precedes it is committed without it; then it is alone
		p.until = f.rec.Position - 1
		return nil
	}
	bad := &p.bad
	if bad.position != f.rec.Position {
		bad.position, bad.attempts, bad.park = f.rec.Position, 0, false
	}
	bad.attempts++
	bad.failure = &Failure{
		Position: f.rec.Position, Stream: f.rec.Stream, Type: f.rec.Type,
		Error: f.err.Error(), Attempts: bad.attempts, Time: now(),
	}
	o := &p.r.opts
	if o.OnError != Retry && bad.attempts >= o.Attempts {
		if o.OnError == DeadLetter {
			bad.park = true
			return nil
		}
		bad.failure.Stopped = true
		p.note(ctx, bad.failure)
		return p.r.eventError(&f.rec, bad.attempts, f.err)
	}
	p.note(ctx, bad.failure)
	wait := o.Backoff(bad.attempts)
	o.Logger.Warn("projection: an event is tried again", "projection", p.r.name, "version", p.r.version,
		"position", f.rec.Position, "attempts", bad.attempts, "pause", wait, "error", f.err)
	pause(ctx, wait)
	return nil
}

func (r *Runner) eventError(rec *driver.Record, attempts int, err error) *EventError {
	return &EventError{r.name, r.version, rec.Position, rec.Stream, rec.Type, attempts, err}
}

// note keeps the failure with the checkpoint, for others to see.
func (p *partition) note(ctx context.Context, f *Failure) {
	key := checkpointKey(p.r.name, p.r.version, p.n)
	err := p.r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		cp, err := load[checkpoint](ctx, b.Lock, key)
		if err != nil || cp == nil || cp.Position >= f.Position {
			return err
		}
		cp.Failure = f
		return save(ctx, b, key, cp)
	})
	if err != nil {
		p.r.opts.Logger.Warn("projection: the failure could not be noted", "projection", p.r.name, "error", err)
	}
}

// leave brings the checkpoint forward before the partition ends.
func (p *partition) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	at := p.scanned.Load()
	info, err := p.r.log.Info(ctx)
	if err != nil || p.fresh || uint64(info.Head) < at || !p.moved(driver.Position(at)) {
		return
	}
	if _, err := p.step(ctx, nil, driver.Position(at), true); err != nil && !errors.Is(err, errMoved) && !errors.Is(err, ErrRetired) {
		p.r.opts.Logger.Warn("projection: the checkpoint could not be brought forward", "projection", p.r.name, "error", err)
	}
}
