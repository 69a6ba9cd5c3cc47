package simtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/annals-db/annals/driver"
)

// history is what a store was asked and what it said, over all its lives, and
// so what must be in it and what must not.
type history struct {
	mu      sync.Mutex
	entries []*entry
	byID    map[driver.ID][]*entry
	seen    []seen // by position, from 1, what anybody read there
	heads   map[driver.Position][32]byte
	state   map[string]*stateKey // of the one client that changes it
}

// entry is a batch that was handed over at least once.
type entry struct {
	n           int
	batch       driver.Batch
	outstanding int             // appends of it under way
	unknown     bool            // an append of it ended without an answer since the last answer
	receipt     *driver.Receipt // it was acknowledged so
}

// seen is what was read at a position.
type seen struct {
	record *driver.Record // nil if nobody has read there
	by     string
}

func newHistory() *history {
	return &history{byID: map[driver.ID][]*entry{}, heads: map[driver.Position][32]byte{}, state: map[string]*stateKey{}}
}

// submit notes that b is about to be handed over; e is nil the first time.
func (h *history) submit(e *entry, b driver.Batch) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e == nil {
		e = &entry{n: len(h.entries) + 1, batch: b}
		h.entries = append(h.entries, e)
		for i := range b.Events {
			id := b.Events[i].ID
			h.byID[id] = append(h.byID[id], e)
		}
	}
	e.outstanding++
	return e
}

// acknowledged notes that an append of e was answered by a receipt.
func (h *history) acknowledged(e *entry, r driver.Receipt) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.outstanding--
	if int(r.Last-r.First)+1 != len(e.batch.Events) || len(r.Versions) != len(e.batch.Events) {
		return fmt.Errorf("batch %d of %d events has the receipt %+v", e.n, len(e.batch.Events), r)
	}
	if e.receipt == nil {
		e.receipt = &r
		return nil
	}
	f := e.receipt
	if r.First != f.First || r.Last != f.Last || !r.Time.Equal(f.Time) || !slices.Equal(r.Versions, f.Versions) {
		return fmt.Errorf("batch %d was first acknowledged as %+v and then as %+v", e.n, *f, r)
	}
	if !r.Repeated && !e.receipt.Repeated {
		return fmt.Errorf("batch %d was acknowledged as new a second time: %+v", e.n, r)
	}
	e.receipt.Repeated = e.receipt.Repeated && r.Repeated
	return nil
}

// refused notes that an append of e was answered: it was not appended.
func (h *history) refused(e *entry, why error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.outstanding--
	if e.outstanding == 0 {
		e.unknown = false
	}
	if e.receipt != nil {
		return fmt.Errorf("batch %d, acknowledged at position %d, was refused when it was appended again: %w", e.n, e.receipt.First, why)
	}
	return nil
}

// unanswered notes that an append of e ended without an answer.
func (h *history) unanswered(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.outstanding--
	e.unknown = true
}

// mayBe reports whether e may be in the log.
func (e *entry) mayBe() bool { return e.receipt != nil || e.unknown || e.outstanding > 0 }

// pick returns one of the entries that ok holds for, nil if there is none.
func (h *history) pick(intN func(int) int, ok func(*entry) bool) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 20 {
		if len(h.entries) == 0 {
			return nil
		}
		if e := h.entries[intN(len(h.entries))]; ok(e) {
			return e
		}
	}
	return nil
}

// saw notes what was read at a position, and compares it with what was read there before.
func (h *history) saw(r *driver.Record, by string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Position == 0 {
		return fmt.Errorf("%s read a record without a position", by)
	}
	for uint64(len(h.seen)) < uint64(r.Position) && len(h.seen) < 1_000_000 {
		h.seen = append(h.seen, seen{})
	}
	at := &h.seen[r.Position-1]
	if at.record == nil {
		*at = seen{r, by}
	}
	if !sameRecord(at.record, r) {
		return fmt.Errorf("%s read at position %d\n  %s\nwhere %s had read\n  %s", by, r.Position, digest(r), at.by, digest(at.record))
	}
	return nil
}

// agrees returns how many records at the beginning of log are what was read there.
func (h *history) agrees(log []driver.Record) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range min(len(log), len(h.seen)) {
		if r := h.seen[i].record; r != nil && !sameRecord(r, &log[i]) {
			return i
		}
	}
	return len(log)
}

// head is the last position anybody has read or been told of.
func (h *history) head() driver.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return driver.Position(len(h.seen))
}

// digest is everything about a record, in words.
func digest(r *driver.Record) string {
	return fmt.Sprintf("%d %s v%d %s %s %q %x %v %v occurred %d time %d batch %d %v",
		r.Position, r.Stream, r.Version, r.Type, r.ID, r.Encoding, r.Data, r.Tags, r.Metadata, nano(r.Occurred), nano(r.Time), r.Batch, r.Conditions)
}

// weak notes that an append of e did nothing, by an error that says nothing
// about appends of it before.
func (h *history) weak(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.outstanding--
}

// others returns the batches that share an ID with e.
func (h *history) others(e *entry) []*entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*entry
	for i := range e.batch.Events {
		for _, o := range h.byID[e.batch.Events[i].ID] {
			if o != e {
				all = append(all, o)
			}
		}
	}
	return all
}
