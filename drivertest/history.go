package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// history is what many writers did and were told. It is judged against the
// log they left behind: there must be one order, that of the positions, in
// which every answer is right.
type history struct {
	clock atomic.Int64 // counts calls and answers
	mu    sync.Mutex
	ops   []*operation
}

// operation is one append.
type operation struct {
	batch            driver.Batch
	called, answered int64 // on the history's clock
	receipt          driver.Receipt
	err              error
	readable         driver.Position // the log's head right after the answer
}

func (h *history) add(op *operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// faults returns what is wrong with each answer that log, the whole log in
// order, does not bear out.
func (h *history) faults(log []driver.Record) []string {
	j := newJudge(log)
	for i, r := range log {
		if r.Position != driver.Position(i+1) {
			j.faultf("record %d is at position %d", i+1, r.Position)
			return j.faults
		}
	}
	taken := make([]bool, len(log)+1)
	for _, op := range h.ops {
		if op.err != nil {
			j.conflict(op, h.known(op.called))
			continue
		}
		if !j.success(op) || op.receipt.Repeated {
			continue
		}
		for p := op.receipt.First; p <= op.receipt.Last; p++ {
			if taken[p] {
				j.faultf("position %d was acknowledged twice", p)
			}
			taken[p] = true
		}
	}
	for p := 1; p < len(taken); p++ {
		if !taken[p] {
			j.faultf("the record at position %d was never acknowledged: %+v", p, log[p-1])
		}
	}
	h.realTime(j)
	return j.faults
}

// counts says how many appends were taken, refused and repeated.
func (h *history) counts() (taken, refused, repeated int) {
	for _, op := range h.ops {
		switch {
		case op.err != nil:
			refused++
		case op.receipt.Repeated:
			repeated++
		default:
			taken++
		}
	}
	return taken, refused, repeated
}

// known is the last position that had been acknowledged at a time.
func (h *history) known(at int64) (p driver.Position) {
	for _, op := range h.ops {
		if op.err == nil && op.answered < at {
			p = max(p, op.receipt.Last)
		}
	}
	return p
}

// realTime checks that an append that was answered before another was called
// lies before it in the log.
func (h *history) realTime(j *judge) {
	var placed []*operation
	for _, op := range h.ops {
		if op.err == nil && !op.receipt.Repeated {
			placed = append(placed, op)
		}
	}
	slices.SortFunc(placed, func(a, b *operation) int { return int(a.receipt.First) - int(b.receipt.First) })
	var latest *operation // of those before, the one called last
	for _, op := range placed {
		if latest != nil && op.answered < latest.called {
			j.faultf("the batch at %d was acknowledged before the one at %d was begun", op.receipt.First, latest.receipt.First)
		}
		if latest == nil || op.called > latest.called {
			latest = op
		}
	}
}

// judge judges single answers.
type judge struct {
	faults   []string
	log      []driver.Record
	versions map[string][]driver.Position // of the records of each stream
}

func newJudge(log []driver.Record) *judge {
	j := &judge{log: log, versions: map[string][]driver.Position{}}
	for _, r := range log {
		if r.Stream != "" {
			j.versions[r.Stream] = append(j.versions[r.Stream], r.Position)
		}
	}
	return j
}

func (j *judge) faultf(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// success checks that the log holds the batch where the receipt says and that
// its conditions held just before. It returns false if the receipt makes no sense.
func (j *judge) success(op *operation) bool {
	r := op.receipt
	if r.First == 0 || int(r.Last) > len(j.log) || int(r.Last-r.First)+1 != len(op.batch.Events) {
		j.faultf("the receipt %+v does not fit a batch of %d in a log of %d", r, len(op.batch.Events), len(j.log))
		return false
	}
	if op.readable < r.Last {
		j.faultf("a batch was acknowledged at %d to %d while the head was %d", r.First, r.Last, op.readable)
	}
	want := recordsOf(op.batch, r)
	for i, rec := range j.log[r.First-1 : r.Last] {
		if d := difference(rec, want[i]); d != "" {
			j.faultf("the record acknowledged at %d: %s", rec.Position, d)
		}
	}
	for _, c := range op.batch.Conditions {
		if found := j.broken(c, r.First-1); found != "" {
			j.faultf("the batch at %d was taken though %s was required and %s", r.First, c, found)
		}
	}
	return true
}

// conflict checks that the condition named failed where the error says, and
// that the append was judged by the log as it was at some moment between call
// and answer: acknowledged is the position known before the call.
func (j *judge) conflict(op *operation, acknowledged driver.Position) {
	var c *driver.ConflictError
	if !errors.As(op.err, &c) {
		j.faultf("an append was answered with %v", op.err)
		return
	}
	if c.Index < 0 || c.Index >= len(op.batch.Conditions) || conditionText([]driver.Condition{c.Condition}) != conditionText(op.batch.Conditions[c.Index:c.Index+1]) {
		j.faultf("a conflict names condition %d, %s, of %s", c.Index, c.Condition, op.batch.Conditions)
		return
	}
	if c.Head > op.readable {
		j.faultf("a conflict reports head %d while the log could be read up to %d", c.Head, op.readable)
		return
	}
	switch {
	case j.broken(c.Condition, c.Head) == "":
		j.faultf("a conflict says that %s fails at head %d, where it holds", c.Condition, c.Head)
	case c.Condition.Kind == driver.NoneAfterKind:
		if c.Position <= c.Condition.After || c.Position > c.Head || !c.Condition.Query.Matches(&j.log[c.Position-1].Event) {
			j.faultf("a conflict names position %d, which does not break %s at head %d", c.Position, c.Condition, c.Head)
		}
	default:
		if v := j.version(c.Condition.Stream, c.Head); v != c.Version {
			j.faultf("a conflict says that stream %q is at version %d; at head %d it is at %d", c.Condition.Stream, c.Version, c.Head, v)
		}
	}
	for p := acknowledged; p <= op.readable; p++ {
		if j.first(op.batch.Conditions, p) == c.Index {
			return
		}
	}
	j.faultf("a conflict names condition %d of %s, which was not the first to fail at any head from %d to %d", c.Index, op.batch.Conditions, acknowledged, op.readable)
}

// first is the index of the first condition that fails at head p, -1 if none does.
func (j *judge) first(conditions []driver.Condition, p driver.Position) int {
	return slices.IndexFunc(conditions, func(c driver.Condition) bool { return j.broken(c, p) != "" })
}

// version is the version of a stream at head p.
func (j *judge) version(stream string, p driver.Position) uint64 {
	n, _ := slices.BinarySearch(j.versions[stream], p+1)
	return uint64(n)
}

// broken says how c fails in the log up to p, "" if it holds.
func (j *judge) broken(c driver.Condition, p driver.Position) string {
	v := j.version(c.Stream, p)
	fails := false
	switch c.Kind {
	case driver.StreamAtKind:
		fails = v != c.Version
	case driver.StreamAbsentKind:
		fails = v != 0
	case driver.StreamPresentKind:
		fails = v == 0
	case driver.NoneAfterKind:
		for _, r := range j.log[min(c.After, p):p] {
			if c.Query.Matches(&r.Event) {
				return fmt.Sprintf("position %d matches", r.Position)
			}
		}
	}
	if fails {
		return fmt.Sprintf("the stream was at version %d", v)
	}
	return ""
}
