package projection

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection/internal/sqlbook"
)

// partition runs the events of one group of keys, in order. It belongs to one
// goroutine; only scanned and what it was seen in are looked at by others.
type partition struct {
	r       *Runner
	n       int
	scanned atomic.Uint64 // everything up to here has taken effect or does not concern it
	seen    atomic.Int64  // the epoch of scanned; it is set behind it
	turn    atomic.Int64  // the runner's, when the transaction began that has set scanned; likewise

	saved   checkpoint // as it was seen last
	chunk   []driver.Record
	epoch   int
	fresh   bool      // nothing was looked at yet in this run
	looked  time.Time // when the checkpoint was last seen
	checked time.Time // when the history was last compared with it
	until   annals.Position
	bad     struct {
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
	whole bool // the transaction was refused as a whole, and rec is its first
	err   error
}

func (f *failed) Error() string { return f.err.Error() }

var (
	errPaused  = errors.New("the projection is paused")
	errNothing = errors.New("there is nothing to do")
	errMoved   = errors.New("another runner has moved the checkpoint")
)

func (p *partition) reset() {
	p.scanned.Store(0)
	p.seen.Store(0)
	p.turn.Store(0)
	p.saved, p.epoch, p.fresh, p.until = checkpoint{}, 0, true, 0
	p.bad.position, p.bad.failure = 0, nil
}

// run handles events until ctx ends or something cannot be got past.
func (p *partition) run(ctx context.Context) error {
	for {
		err := p.unless(p.advance(ctx))
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

// advance handles what there is, or waits for more.
func (p *partition) advance(ctx context.Context) error {
	info, err := p.r.log.Info(ctx)
	if err != nil {
		return err
	}
	at := annals.Position(p.scanned.Load())
	switch {
	case p.fresh || p.r.epoch.Load() != int64(p.epoch) || info.Head < at:
		p.checked = time.Time{}
		_, err := p.step(ctx, nil, at, false) // looks at the checkpoint
		return err
	case info.Head > at:
		return p.stream(ctx, at, info.Head)
	case p.moved(at) && time.Since(p.looked) >= p.r.opts.Poll:
		_, err := p.step(ctx, nil, at, true)
		return err
	}
	wait, cancel := context.WithTimeout(ctx, p.r.opts.Poll)
	defer cancel()
	_, err = p.r.log.Wait(wait, at)
	if wait.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// moved reports whether the checkpoint in the target can be brought forward.
func (p *partition) moved(to annals.Position) bool {
	return p.saved.Position < to || p.saved.HeadAt < to
}

// at says that everything up to position is done.
func (p *partition) at(position annals.Position) {
	p.scanned.Store(uint64(position))
	p.r.notify()
}

// chunkBytes is how many bytes of records are read ahead of a transaction, besides the last one.
const chunkBytes = 4 << 20

// stream reads what lies between from and head and handles it, batch after batch.
func (p *partition) stream(ctx context.Context, from, head annals.Position) error {
	size, chunk := 0, p.chunk[:0] // the memory of the last time
	defer func() { clear(chunk[:cap(chunk)]); p.chunk = chunk }()
	handle := func(upTo annals.Position) error {
		for rest := chunk; len(rest) > 0; {
			n, err := p.step(ctx, rest, upTo, false)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		chunk, size = chunk[:0], 0
		return nil
	}
	for rec, err := range p.r.log.Read(ctx, p.r.query, driver.ReadOptions{After: from, UpTo: head}) {
		if err != nil {
			return err
		}
		if p.r.partitionOf(&rec) != p.n {
			continue
		}
		chunk, size = append(chunk, rec), size+len(rec.Data)
		if len(chunk) == p.r.opts.Batch || size > chunkBytes {
			if err := handle(rec.Position); err != nil {
				return p.unless(err)
			}
		}
	}
	if len(chunk) == 0 {
		p.at(head)
		return nil
	}
	return p.unless(handle(head))
}

// unless returns err unless it only says that another runner was faster.
func (p *partition) unless(err error) error {
	if errors.Is(err, errMoved) {
		p.r.notify()
		return nil
	}
	return err
}

// step is one transaction: with the checkpoint locked, and where it was left, it handles
// records, the next ones of the partition, and moves the checkpoint behind them;
// behind all of them that is upTo. flush moves it although there are none. It
// returns how many records were handled.
func (p *partition) step(ctx context.Context, records []driver.Record, upTo annals.Position, flush bool) (n int, err error) {
	var cp checkpoint
	turn := p.r.turn.Load()
	err = p.r.update(ctx, func(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error) error {
		at, v, err := p.lock(ctx, b)
		if err != nil {
			return err
		}
		cp = *at
		if err := p.known(ctx, &cp, v); err != nil {
			return err
		}
		end := upTo
		if v.Hold != nil && now().Before(v.Hold.Until) {
			end = min(end, v.Hold.At)
		}
		if p.until > cp.Position {
			end = min(end, p.until)
		}
		if n, end, err = p.batch(ctx, b, apply, &cp, records, end); err != nil {
			return err
		}
		if n == 0 && end <= cp.Position && !(flush && p.moved(end)) {
			return errPausedIf(len(records) > 0)
		}
		cp.Position, cp.Updated, cp.Failure = max(end, cp.Position), now(), nil
		if n == 0 {
			if err := p.takeHead(ctx, &cp); err != nil {
				return err
			}
		}
		return save(ctx, b, checkpointKey(p.r.name, p.r.version, p.n), cp)
	})
	if errors.Is(err, errNothing) {
		return 0, nil
	}
	if refused, ok := errors.AsType[*sqlbook.RefusedError](err); ok && n > 0 {
		p.until = records[(n-1)/2].Position // it is one of them: halve
		return 0, &failed{rec: records[0], first: n == 1, whole: true, err: refused}
	}
	if err != nil {
		return 0, err
	}
	if p.until > 0 && cp.Position >= p.until {
		p.until = 0
	}
	p.saved, p.looked = cp, time.Now()
	p.scanned.Store(uint64(cp.Position))
	p.turn.Store(turn)
	p.r.notify()
	return n, nil
}

// errPausedIf says why a step did nothing.
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

// known compares the checkpoint with what this partition has left, and the log
// with the checkpoint; where another has moved it, it returns errMoved.
func (p *partition) known(ctx context.Context, cp *checkpoint, v *version) error {
	same := !p.fresh && v.Epoch == p.epoch && cp.Position == p.saved.Position && cp.Updated.Equal(p.saved.Updated)
	if !same || time.Since(p.checked) >= p.r.opts.Poll {
		if err := p.r.check(ctx, cp, !same); err != nil {
			return err
		}
		p.checked = time.Now()
	}
	if same {
		return nil
	}
	if v.Epoch != p.epoch { // after a reset every event is new
		p.until, p.bad.position = 0, 0
	}
	p.epoch, p.fresh, p.saved = v.Epoch, false, *cp
	p.scanned.Store(uint64(cp.Position))
	p.seen.Store(int64(v.Epoch))
	return errMoved
}

// batch handles records up to and with position end. It returns how many it
// has handled, and the position up to which all is done.
func (p *partition) batch(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error, cp *checkpoint, records []driver.Record, end annals.Position) (int, annals.Position, error) {
	began, n := time.Now(), 0
	parked := parking{r: p.r, b: b}
	for i := range records {
		rec := &records[i]
		if rec.Position > end {
			break
		}
		if err := p.one(ctx, &parked, cp, rec, apply); err != nil {
			if n > 0 && p.r.oneWay { // what is done cannot be undone; it comes first next time
				end = records[n-1].Position
				break
			}
			var f *failed
			if errors.As(err, &f) {
				f.first = n == 0
			}
			return 0, 0, err
		}
		if n++; n%16 == 0 && n < len(records) && time.Since(began) >= p.r.opts.BatchTime {
			end = rec.Position
			break
		}
	}
	if n > 0 {
		last := &records[n-1]
		cp.Last, cp.Leaf, cp.Time = last.Position, leaf(last), last.Time
	}
	return n, end, nil
}

// one handles one record, or sets it aside.
func (p *partition) one(ctx context.Context, parked *parking, cp *checkpoint, rec *driver.Record, apply func(context.Context, *driver.Record) error) error {
	if cp.Parked > 0 {
		if waits, err := parked.holds(ctx, p.r.key(rec)); err != nil {
			return err
		} else if waits {
			return parked.add(ctx, cp, p.n, rec, nil)
		}
	}
	if p.bad.park && rec.Position == p.bad.position {
		return parked.add(ctx, cp, p.n, rec, p.bad.failure)
	}
	err := apply(ctx, rec)
	if err != nil && !sqlbook.Undone(err) {
		return &failed{rec: *rec, err: err}
	}
	return err
}
