package simtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/simfs"
)

// writer appends: new batches, and ones that were appended before.
type writer struct {
	*world
	name string
	r    *rand.Rand
	gen  *generator
}

func (w *world) newWriter(n int) *writer {
	name := fmt.Sprintf("%d-%d-%d", w.seed, w.n, n)
	r := rand.New(rand.NewPCG(w.seed, uint64(w.n*100+n)))
	return &writer{w, fmt.Sprintf("writer %d", n), r, &generator{r: r, name: name, world: w}}
}

// run appends quota times.
func (w *writer) run(quota int) {
	for range quota {
		w.turns.wait(w.name)
		if w.stop.Load() || w.dead.Load() {
			return
		}
		switch {
		case chance(w.r, 12):
			w.again(func(e *entry) bool { return e.receipt == nil && e.unknown && e.outstanding == 0 })
		case chance(w.r, 8):
			w.again(func(e *entry) bool { return e.receipt != nil })
		case chance(w.r, 8):
			w.again(func(e *entry) bool { return e.outstanding > 0 })
		case chance(w.r, 5):
			w.clash()
		case chance(w.r, 10):
			w.pipeline()
		default:
			w.append(nil, w.gen.batch())
		}
	}
}

// again appends a batch again that was appended before, if there is one such.
func (w *writer) again(ok func(*entry) bool) {
	if e := w.history.pick(w.r.IntN, ok); e != nil {
		w.append(e, e.batch)
	}
}

// clash appends a batch of which one ID is taken by other content.
func (w *writer) clash() {
	e := w.history.pick(w.r.IntN, func(e *entry) bool { return e.receipt != nil })
	if e == nil {
		return
	}
	b := w.gen.batch()
	at := w.r.IntN(len(e.batch.Events))
	b.Events[w.r.IntN(len(b.Events))].ID = e.batch.Events[at].ID
	n := w.history.submit(nil, b)
	w.say("%s: appends batch %d with an ID of batch %d", w.name, n.n, e.n)
	h := w.hand()
	r, err := w.log.Append(w.ctx, b)
	var clash *driver.IDError
	if errors.As(err, &clash) {
		if want := e.receipt.First + driver.Position(at); clash.Position != want || clash.ID != e.batch.Events[at].ID {
			w.fail("ID %s of position %d is refused as %w", e.batch.Events[at].ID, want, err)
		}
	}
	w.answer(n, h, nil, r, err)
	var conflict *driver.ConflictError
	if err == nil || errors.As(err, &conflict) {
		w.fail("batch %d has an ID of position %d: want an IDError, not: %v", n.n, e.receipt.First, err)
	}
}

// pipeline submits several batches before it waits for the first.
func (w *writer) pipeline() {
	s, ok := w.log.(driver.Submitter)
	if !ok {
		return
	}
	type submitted struct {
		e      *entry
		h      handed
		answer func() (driver.Receipt, error)
	}
	var all []submitted
	for range 2 + w.r.IntN(5) {
		b := w.gen.batch()
		e := w.history.submit(nil, b)
		w.say("%s: submits batch %d of %d", w.name, e.n, len(b.Events))
		all = append(all, submitted{e, w.hand(), s.Submit(w.ctx, b)})
		w.turns.wait(w.name + " pipelines")
	}
	last := driver.Position(0)
	for _, s := range all {
		r, err := s.answer()
		w.answer(s.e, s.h, nil, r, err)
		if err == nil && r.First <= last && !w.dead.Load() {
			w.fail("batch %d, submitted after one at position %d, is at %d", s.e.n, last, r.First)
		}
		if err == nil {
			last = r.Last
		}
	}
	w.turns.wait(w.name + " pipelined")
}

// append appends b, which is e's batch unless e is nil.
func (w *writer) append(e *entry, b driver.Batch) {
	ctx := w.ctx
	if chance(w.r, 5) { // a client that gives up: the context ends at some later turn
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		w.clients.Go(func() {
			w.turns.wait(w.name + " gives up")
			cancel()
		})
	}
	e = w.history.submit(e, b)
	w.say("%s: appends batch %d of %d, %v", w.name, e.n, len(b.Events), b.Conditions)
	h := w.hand()
	r, err := w.log.Append(ctx, b)
	w.answer(e, h, ctx, r, err)
	w.turns.wait(w.name + " answered")
	if w.dead.Load() {
		return
	}
	var conflict *driver.ConflictError
	switch {
	case errors.As(err, &conflict):
		w.conflict(e, conflict)
	case err == nil && chance(w.r, 30):
		w.there(e, r)
	}
}

// handed is how things stood when an append was handed over.
type handed struct {
	failed bool // a sync of data had failed
	roomy  bool // the disk was not full and was not going to be, in this life
}

func (w *writer) hand() handed {
	return handed{w.failed.Load(), w.theme != "full" || w.wasFull.Load() && !w.full.Load()}
}

// answer takes note of the answer to an append of e. ctx is nil where it is
// that of the life.
func (w *writer) answer(e *entry, h handed, ctx context.Context, r driver.Receipt, err error) {
	if w.dead.Load() { // nobody is there to hear it
		w.history.unanswered(e)
		return
	}
	w.say("%s: batch %d: %+v, %v", w.name, e.n, r, err)
	if err == nil {
		w.count(Stats{Acks: 1})
		if r.Repeated {
			w.count(Stats{Repeats: 1})
		} else if h.failed {
			w.fail("batch %d was acknowledged at position %d after a sync had failed", e.n, r.First)
		}
		w.expect(w.history.acknowledged(e, r))
		return
	}
	if errors.Is(err, driver.ErrOutcomeUnknown) {
		w.count(Stats{Unknown: 1})
		w.history.unanswered(e)
		if errors.Is(err, simfs.ErrIO) {
			w.failed.Store(true)
		}
		if ctx != nil && ctx.Err() != nil || w.upset.Load() || !h.roomy || w.stop.Load() {
			return
		}
		w.fail("batch %d has an unknown outcome without a reason: %w", e.n, err)
		return
	}
	if why := w.mayRefuse(e, h, ctx, err); why != "" {
		w.fail("batch %d was refused: %s: %w", e.n, why, err)
	}
	if definite(err) {
		w.expect(w.history.refused(e, err))
		return
	}
	w.history.weak(e)
}

// definite reports whether err tells that the batch is not in the log at all,
// rather than only that this append did nothing.
func definite(err error) bool {
	var (
		c *driver.ConflictError
		i *driver.IDError
		p *driver.PositionError
		v *driver.InvalidError
	)
	return errors.As(err, &c) || errors.As(err, &i) || errors.As(err, &p) || errors.As(err, &v)
}

// mayRefuse says why err is no error to answer e with, "" if it is one.
func (w *writer) mayRefuse(e *entry, h handed, ctx context.Context, err error) string {
	var (
		conflict *driver.ConflictError
		id       *driver.IDError
		position *driver.PositionError
		invalid  *driver.InvalidError
	)
	switch {
	case errors.As(err, &conflict):
		w.count(Stats{Conflicts: 1})
		if len(e.batch.Conditions) == 0 {
			return "a conflict without a condition"
		}
	case errors.As(err, &id):
		if len(w.history.others(e)) == 0 {
			return "its IDs are nobody else's"
		}
	case errors.As(err, &position):
		return "somebody has read all the positions that its conditions name"
	case errors.As(err, &invalid):
		if e.batch.Time.IsZero() {
			return "it has no time"
		}
	case errors.Is(err, simfs.ErrFull):
		w.count(Stats{Full: 1})
		if h.roomy {
			return "there is room"
		}
		if !errors.Is(err, driver.ErrUnavailable) {
			return "a full disk is ErrUnavailable"
		}
	case errors.Is(err, driver.ErrReadOnly):
		if !w.upset.Load() {
			return "nothing made it read-only"
		}
	case errors.Is(err, simfs.ErrIO):
		if !w.upset.Load() && !w.reading.Load() {
			return "no operation failed"
		}
	case errors.Is(err, driver.ErrClosed):
		if !w.stop.Load() {
			return "nobody closed it"
		}
	case ctx != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
	default:
		return "an error of no known kind"
	}
	return ""
}

// conflict checks that a conflict is one at its head, which can be read.
func (w *writer) conflict(e *entry, c *driver.ConflictError) {
	if c.Index >= len(e.batch.Conditions) || e.batch.Conditions[c.Index].String() != c.Condition.String() {
		w.fail("batch %d: the conflict names condition %d, %s", e.n, c.Index, c.Condition)
		return
	}
	var log []driver.Record
	if c.Head > 0 {
		var err error
		if log, err = w.read(w.log, w.name, driver.Query{}, driver.ReadOptions{UpTo: c.Head}); err != nil {
			w.readFailed("up to the head of a conflict", err)
			return
		}
	}
	versions := map[string]uint64{}
	for i := range log {
		versions[log[i].Stream] = max(versions[log[i].Stream], log[i].Version)
		if log[i].ID == e.batch.Events[0].ID {
			w.fail("batch %d: %w, but it is itself at position %d: IDs come before conditions", e.n, c, log[i].Position)
			return
		}
	}
	if fails(c.Condition, log, versions) == "" {
		w.fail("batch %d: %w, but at position %d the condition holds", e.n, c, c.Head)
	}
}

// there checks that what was acknowledged can be read at once.
func (w *writer) there(e *entry, r driver.Receipt) {
	log, err := w.read(w.log, w.name, driver.Query{}, driver.ReadOptions{After: r.First - 1, UpTo: r.Last})
	if err != nil {
		w.readFailed("what was acknowledged", err)
		return
	}
	for i := range log {
		if i >= len(e.batch.Events) || !sameEvent(&log[i].Event, &e.batch.Events[i]) {
			w.fail("batch %d, acknowledged at position %d, reads as %s", e.n, r.First, digest(&log[i]))
			return
		}
	}
	if len(log) != len(e.batch.Events) {
		w.fail("of batch %d, acknowledged at position %d, %d of %d records can be read", e.n, r.First, len(log), len(e.batch.Events))
	}
}
