package projection

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Runner keeps one version of a projection up to date in one target. Make it
// with [Projection.Open].
type Runner struct {
	name, version string
	log           driver.Log
	logID         annals.ID
	query         annals.Query
	key           func(*annals.Record) string
	keeper        Keeper
	update        func(ctx context.Context, fn batchFunc) error
	oneWay        bool // what a handler did in the target is not undone by an error
	opts          Options
	ended         func(context.Context) // nil, or told that Run has ended
	partitions    []*partition
	epoch         atomic.Int64 // as it was seen last
	turn          atomic.Int64 // counts calls of Wait, to tell what was seen since one began
	waited        atomic.Bool  // the log was compared thoroughly with what another process has handled

	mu      sync.Mutex
	changed chan struct{} // closed when a partition has moved or Run has ended
	running bool
	err     error // why Run ended
}

// batchFunc works on one transaction; apply runs the handlers of a record in it.
type batchFunc func(ctx context.Context, b Book, apply func(context.Context, *driver.Record) error) error

// Open registers the projection at the target, makes its tables, and returns
// its runner. The first version is live at once. Another one is built beside
// the live one until [Control.Switch]. A nil opts means the defaults.
func (p *Projection[T]) Open(ctx context.Context, db *annals.DB, target Target[T], opts *Options) (*Runner, error) {
	d, err := newDispatch(p, db)
	if err != nil {
		return nil, fmt.Errorf("projection %s: %w", p.name, err)
	}
	r := &Runner{
		name: p.name, version: p.version, log: db.Log(), query: d.query, key: p.key,
		keeper: target, opts: opts.orDefaults(), changed: make(chan struct{}),
	}
	if m, ok := target.(interface{ ended(context.Context) }); ok {
		r.oneWay, r.ended = true, m.ended
	}
	r.update = func(ctx context.Context, fn batchFunc) error {
		ctx = p.within(ctx)
		return target.Update(ctx, func(ctx context.Context, tx T, b Book) error {
			return fn(ctx, b, func(ctx context.Context, rec *driver.Record) error { return d.handle(ctx, tx, rec) })
		})
	}
	info, err := r.log.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("projection %s: %w", p.name, err)
	}
	r.logID = info.LogID
	err = target.Update(p.within(ctx), func(ctx context.Context, tx T, b Book) error {
		return r.register(ctx, b, p.tables, func() error {
			for _, fn := range p.setup {
				if err := fn(ctx, tx); err != nil {
					return fmt.Errorf("setup: %w", err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("projection %s %s: register: %w", p.name, p.version, err)
	}
	for n := range r.opts.Partitions {
		r.partitions = append(r.partitions, &partition{r: r, n: n})
	}
	return r, nil
}

// Run opens the projection and runs it until ctx ends; see [Runner.Run].
func (p *Projection[T]) Run(ctx context.Context, db *annals.DB, target Target[T], opts *Options) error {
	r, err := p.Open(ctx, db, target, opts)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// register enters the version, unless it is known.
func (r *Runner) register(ctx context.Context, b Book, tables []Table, setup func() error) error {
	key := registrationKey(r.name)
	reg, err := load[registration](ctx, b.Lock, key)
	if err != nil {
		return err
	}
	if reg == nil {
		reg = &registration{Versions: map[string]*version{}}
	}
	if v := reg.Versions[r.version]; v != nil {
		return r.known(ctx, b, reg, v)
	}
	if err := taken(ctx, b, r.name, r.version, tables); err != nil {
		return err
	}
	v := &version{State: Building, Partitions: r.opts.Partitions, Tables: tables, Registered: now()}
	if reg.Live == "" {
		reg.Live, v.State = r.version, Live
	}
	reg.Versions[r.version] = v
	for _, t := range tables {
		if err := b.Create(ctx, physical(t.Name, r.version), t.Columns); err != nil {
			return err
		}
		if v.State == Live {
			if err := b.Show(ctx, t.Name, physical(t.Name, r.version)); err != nil {
				return err
			}
		}
	}
	if err := setup(); err != nil {
		return err
	}
	if err := r.begin(ctx, b); err != nil {
		return err
	}
	return save(ctx, b, key, reg)
}

// taken refuses a table that is another projection's, or would be called what
// another version's is called: stock_old of v1, and stock of old_v1.
func taken(ctx context.Context, b Book, name, vn string, tables []Table) error {
	regs, err := registrations(ctx, b)
	if err != nil {
		return err
	}
	for other, reg := range regs {
		for otherVersion, v := range reg.Versions {
			for _, t := range v.Tables {
				if slices.ContainsFunc(tables, func(mine Table) bool {
					return other != name && mine.Name == t.Name || physical(mine.Name, vn) == physical(t.Name, otherVersion)
				}) {
					return fmt.Errorf("table %s belongs to projection %s %s", physical(t.Name, otherVersion), other, otherVersion)
				}
			}
		}
	}
	return nil
}

// begin makes the checkpoints before the first event.
func (r *Runner) begin(ctx context.Context, b Book) error {
	for n := range r.opts.Partitions {
		if err := save(ctx, b, checkpointKey(r.name, r.version, n), checkpoint{Log: r.logID, Updated: now()}); err != nil {
			return err
		}
	}
	return nil
}

// known looks at a version that is registered already. Its partitions can
// change before its first event and after a reset.
func (r *Runner) known(ctx context.Context, b Book, reg *registration, v *version) error {
	if v.Partitions == r.opts.Partitions {
		return nil
	}
	for n := range v.Partitions {
		cp, err := load[checkpoint](ctx, b.Lock, checkpointKey(r.name, r.version, n))
		if err != nil {
			return err
		}
		if cp != nil && cp.Position > 0 {
			return fmt.Errorf("it has %d partitions, not %d: reset it or give it another version", v.Partitions, r.opts.Partitions)
		}
		if err := b.Delete(ctx, checkpointKey(r.name, r.version, n)); err != nil {
			return err
		}
	}
	v.Partitions = r.opts.Partitions
	if err := r.begin(ctx, b); err != nil {
		return err
	}
	return save(ctx, b, registrationKey(r.name), reg)
}

// Run keeps the read model up to date until ctx ends, whose error it then
// returns. Else it ends with an [*EventError] where the policy is Stop, with a
// [*CheckpointError] where the log is not the one that the read model was made
// of, and with [ErrRetired] when another version has taken its place. What
// fails in the target or the log is tried again, with pauses. Any number of
// runners in any number of processes may run one version: each event takes
// effect once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.running {
		r.mu.Unlock()
		return fmt.Errorf("projection %s %s: it runs already", r.name, r.version)
	}
	r.running, r.err = true, nil
	r.mu.Unlock()

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, p := range r.partitions {
		p.reset()
		wg.Go(func() { cancel(p.run(inner)) })
	}
	wg.Go(func() { cancel(r.attend(inner)) })
	wg.Wait()
	err := context.Cause(inner)
	if r.ended != nil {
		r.ended(context.WithoutCancel(ctx))
	}
	r.mu.Lock()
	r.running, r.err = false, err
	r.mu.Unlock()
	r.notify()
	return err
}

// notify wakes those that wait for a partition to move.
func (r *Runner) notify() {
	r.mu.Lock()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
}

// Wait returns as soon as everything up to and with position p has taken
// effect or has become a dead letter: after an update, wait for its
// receipt's Last and read what was written. It returns the error that the runner
// has ended with. Where the projection runs in another process it looks
// for its checkpoints every few milliseconds; a [*CheckpointError] says that
// they are of another log or history, and [ErrRetired] that nothing runs the
// version any more.
func (r *Runner) Wait(ctx context.Context, p annals.Position) error {
	if p == 0 {
		return nil
	}
	turn, epoch := r.turn.Add(1), int64(unknown)
	for {
		r.mu.Lock()
		changed, running, err := r.changed, r.running, r.err
		r.mu.Unlock()
		var poll <-chan time.Time
		if r.scanned(turn, epoch) >= p {
			return nil
		}
		if epoch == unknown && r.scanned(0, 0) >= p { // unless it was reset meanwhile
			if epoch, err = r.resets(ctx); errors.Is(err, ErrRetired) {
				return err
			} else if err == nil {
				continue
			}
			epoch, poll = unknown, time.After(10*time.Millisecond)
		}
		if !running && err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if !running {
			at, err := r.checkpointed(ctx, p)
			if err != nil {
				return err
			}
			if at >= p {
				return nil
			}
			poll = time.After(10 * time.Millisecond)
		}
		select {
		case <-changed:
		case <-poll:
		case <-ctx.Done():
			return fmt.Errorf("projection %s %s: wait for position %d: %w", r.name, r.version, p, ctx.Err())
		}
	}
}

const unknown = 1 << 62 // an epoch that nothing is of

// scanned returns how far all partitions are here, as far as that was seen to be
// so since a call of Wait began, or in an epoch.
func (r *Runner) scanned(turn, epoch int64) annals.Position {
	low := uint64(1 << 63)
	for _, p := range r.partitions {
		if p.turn.Load() < turn && p.seen.Load() < epoch {
			return 0
		}
		low = min(low, p.scanned.Load())
	}
	return annals.Position(low)
}

// resets returns how often the version was reset.
func (r *Runner) resets(ctx context.Context) (epoch int64, err error) {
	err = r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Load, registrationKey(r.name))
		if err != nil {
			return err
		}
		if reg == nil || reg.Versions[r.version] == nil {
			return fmt.Errorf("projection %s %s was dropped: %w", r.name, r.version, ErrRetired)
		}
		epoch = int64(reg.Versions[r.version].Epoch)
		return nil
	})
	if err == nil {
		r.epoch.Store(epoch) // for the partitions to see
	}
	return epoch, err
}

// checkpointed returns how far all partitions are in the target. Where that is
// up to p, the log must be the one they are of; where it is not, the version
// must be one that is run.
func (r *Runner) checkpointed(ctx context.Context, p annals.Position) (low annals.Position, err error) {
	var all []checkpoint
	retired := false
	err = r.keeper.Keep(ctx, func(ctx context.Context, b Book) error {
		reg, err := load[registration](ctx, b.Load, registrationKey(r.name))
		if err != nil {
			return err
		}
		retired = reg == nil || reg.Versions[r.version] == nil || reg.Versions[r.version].State == Retired
		all, err = list[checkpoint](ctx, b, versionKey(r.name, r.version)+"at/")
		return err
	})
	for i, c := range all {
		if i == 0 || c.Position < low {
			low = c.Position
		}
	}
	if err == nil && low < p && retired {
		err = fmt.Errorf("projection %s %s: %w", r.name, r.version, ErrRetired)
	}
	if err != nil || low < p {
		return low, err
	}
	thoroughly := !r.waited.Load()
	for i := range all {
		if err := r.check(ctx, &all[i], thoroughly); err != nil {
			return 0, err
		}
	}
	r.waited.Store(true)
	return low, nil
}

// partitionOf returns the partition of a record.
func (r *Runner) partitionOf(rec *driver.Record) int {
	if len(r.partitions) == 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.key(rec)))
	return int(h.Sum32() % uint32(len(r.partitions)))
}

func now() time.Time { return time.Now().UTC() }

// pause waits for d or for ctx to end.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
