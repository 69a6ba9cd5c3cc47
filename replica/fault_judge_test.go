//go:build unix

package replica_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
)

// history is what writers were told.
type history struct {
	clock atomic.Int64 // counts calls and answers
	mu    sync.Mutex
	ops   []operation
	gap   time.Duration // the longest time without a batch taken
	last  time.Time
}

// operation is a batch and what finally became of it.
type operation struct {
	batch            driver.Batch
	called, answered int64
	answer           Answer
	retried          bool // an attempt's outcome was not known
}

func (h *history) add(op operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	if op.answer.Conflict == nil {
		if now := time.Now(); !h.last.IsZero() {
			h.gap = max(h.gap, now.Sub(h.last))
			h.last = now
		} else {
			h.last = now
		}
	}
}

func (h *history) counts() (taken, refused, retried int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		switch {
		case op.answer.Conflict != nil:
			refused++
		default:
			taken++
		}
		if op.retried {
			retried++
		}
	}
	return taken, refused, retried
}

// judge says what is wrong with a log and with what writers were told about it.
func (h *history) judge(log []driver.Record) (faults []string) {
	faultf := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	at := map[driver.ID]driver.Position{}
	streams := places{}
	var before time.Time
	for i := range log {
		r := &log[i]
		if r.Position != driver.Position(i+1) {
			faultf("record %d is at position %d", i+1, r.Position)
			return faults
		}
		if r.Position == r.Batch {
			for _, c := range r.Conditions {
				if found := broken(c, log[:i], streams); found != "" {
					faultf("the batch at %d is in the log though %s was required and %s", r.Position, c, found)
				}
			}
		}
		if at[r.ID] != 0 {
			faultf("event %s is at positions %d and %d", r.ID, at[r.ID], r.Position)
		}
		at[r.ID] = r.Position
		if r.Stream != "" {
			streams[r.Stream] = append(streams[r.Stream], r.Position)
			if want := uint64(len(streams[r.Stream])); r.Version != want {
				faultf("position %d has version %d of %s, want %d", r.Position, r.Version, r.Stream, want)
			}
		}
		if r.Time.Before(before) {
			faultf("time runs backwards at position %d", r.Position)
		}
		before = r.Time
	}
	h.answers(log, at, streams, faultf)
	return faults
}

// answers judges what writers were told.
func (h *history) answers(log []driver.Record, at map[driver.ID]driver.Position, streams places, faultf func(string, ...any)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var placed []operation
	for _, op := range h.ops {
		if c := op.answer.Conflict; c != nil {
			for i := range op.batch.Events {
				if p := at[op.batch.Events[i].ID]; p != 0 {
					faultf("an event of a batch that was refused (%v) is at position %d", c, p)
				}
			}
			if int(c.Head) > len(log) {
				faultf("a refusal names head %d of a log of %d", c.Head, len(log))
			} else if broken(c.Condition, log[:c.Head], streams) == "" {
				faultf("%v: at that head it holds", c)
			}
			h.fresh(&op, log, streams, faultf)
			continue
		}
		for i := range op.batch.Events {
			want := op.answer.Receipt.First + driver.Position(i)
			if got := at[op.batch.Events[i].ID]; got != want {
				faultf("an event acknowledged at position %d is at %d (0: it is lost)", want, got)
			} else if r := log[got-1]; !driver.SameContent(&r.Event, &op.batch.Events[i]) || r.Batch != op.answer.Receipt.First {
				faultf("the event at %d is not as it was appended", got)
			}
		}
		placed = append(placed, op)
	}
	slices.SortFunc(placed, func(a, b operation) int { return int(a.answer.Receipt.First) - int(b.answer.Receipt.First) })
	var latest *operation // of those before, the one called last
	for i := range placed {
		op := &placed[i]
		if latest != nil && op.answered < latest.called {
			faultf("the batch at %d was acknowledged before the one at %d was begun", op.answer.Receipt.First, latest.answer.Receipt.First)
		}
		if latest == nil || op.called > latest.called {
			latest = op
		}
	}
}

// fresh judges that a refusal was by the log as it was at some moment between
// call and answer: not by an old one.
func (h *history) fresh(op *operation, log []driver.Record, streams places, faultf func(string, ...any)) {
	c := op.answer.Conflict
	low, high := driver.Position(0), c.Head
	for i := range h.ops {
		other := &h.ops[i]
		if other.answer.Conflict != nil {
			continue
		}
		if last := other.answer.Receipt.Last; other.answered < op.called {
			low = max(low, last)
		} else if other.called < op.answered {
			high = max(high, last)
		}
	}
	for p := low; p <= max(low, high) && int(p) <= len(log); p++ {
		if broken(c.Condition, log[:p], streams) != "" {
			return
		}
	}
	faultf("%v: but it held at every head from %d to %d, while the batch was on its way", c, low, high)
}

// places are the positions of each stream's events.
type places map[string][]driver.Position

// version returns at which version a stream was at a head of the log.
func (p places) version(stream string, head driver.Position) uint64 {
	n, found := slices.BinarySearch(p[stream], head)
	if found {
		n++
	}
	return uint64(n)
}

// broken says how c fails in log, of which, and maybe of what follows, streams has the places; "" if it holds.
func broken(c driver.Condition, log []driver.Record, streams places) string {
	v := streams.version(c.Stream, driver.Position(len(log)))
	switch {
	case c.Kind == driver.StreamAtKind && v != c.Version, c.Kind == driver.StreamAbsentKind && v != 0, c.Kind == driver.StreamPresentKind && v == 0:
		return fmt.Sprintf("the stream was at version %d", v)
	case c.Kind == driver.NoneAfterKind:
		for i := len(log) - 1; i >= int(c.After); i-- {
			if c.Query.Matches(&log[i].Event) {
				return fmt.Sprintf("position %d matches", i+1)
			}
		}
	}
	return ""
}
