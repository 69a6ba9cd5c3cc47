package simtest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// logEnd says where the log that was read may end.
type logEnd int

const (
	whole    logEnd = iota // with everything that was promised
	early                  // before that, but with a batch
	anywhere               // even within a batch, since reading came to damage there
)

// check compares the whole log with the history.
func (h *history) check(log []driver.Record, end logEnd) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &checker{h: h, log: log, end: end, versions: map[string]uint64{}, ids: map[driver.ID]driver.Position{}, found: map[*entry]driver.Position{}}
	for len(c.log) > c.done {
		if err := c.batch(); err != nil {
			return err
		}
	}
	for i, s := range h.seen {
		if s.record == nil {
			continue
		}
		if i >= len(log) {
			if end > whole {
				break
			}
			return fmt.Errorf("position %d is gone, the log ends at %d: %s had read there\n  %s", i+1, len(log), s.by, digest(s.record))
		}
		if !sameRecord(&log[i], s.record) {
			return fmt.Errorf("position %d now is\n  %s\nwhere %s had read\n  %s", i+1, digest(&log[i]), s.by, digest(s.record))
		}
	}
	for _, e := range h.entries {
		if err := c.promise(e); err != nil {
			return err
		}
	}
	return nil
}

// checker walks through a log.
type checker struct {
	h        *history
	log      []driver.Record
	end      logEnd
	done     int // records
	time     time.Time
	versions map[string]uint64
	ids      map[driver.ID]driver.Position
	found    map[*entry]driver.Position
}

// batch checks the batch that begins at c.done.
func (c *checker) batch() error {
	first := &c.log[c.done]
	pos := driver.Position(c.done + 1)
	if first.Position != pos || first.Batch != pos {
		return fmt.Errorf("a batch begins after position %d with the record at position %d of batch %d", c.done, first.Position, first.Batch)
	}
	e := c.entryOf(first)
	if e == nil {
		return fmt.Errorf("position %d was never appended: %s", pos, digest(first))
	}
	if !e.mayBe() {
		return fmt.Errorf("position %d is of batch %d, which was refused: %s", pos, e.n, digest(first))
	}
	if at := c.found[e]; at != 0 {
		return fmt.Errorf("batch %d is at positions %d and %d", e.n, at, pos)
	}
	c.found[e] = pos
	if err := c.conditions(e, pos); err != nil {
		return err
	}
	if !sameConditions(first.Conditions, e.batch.Conditions) {
		return fmt.Errorf("position %d has the conditions %v, appended with %v", pos, first.Conditions, e.batch.Conditions)
	}
	if len(e.batch.Events) > len(c.log)-c.done && c.end != anywhere {
		return fmt.Errorf("of batch %d at position %d only %d of %d records are there", e.n, pos, len(c.log)-c.done, len(e.batch.Events))
	}
	for i := range min(len(e.batch.Events), len(c.log)-c.done) {
		if err := c.record(e, i, pos); err != nil {
			return err
		}
	}
	return nil
}

// entryOf returns the entry whose batch begins with r.
func (c *checker) entryOf(r *driver.Record) *entry {
	var candidate *entry
	for _, e := range c.h.byID[r.ID] {
		if sameEvent(&e.batch.Events[0], &r.Event) && (candidate == nil || !candidate.mayBe()) {
			candidate = e
		}
	}
	return candidate
}

// record checks record i of e's batch, which begins at first.
func (c *checker) record(e *entry, i int, first driver.Position) error {
	r := &c.log[c.done]
	c.done++
	pos := driver.Position(c.done)
	switch {
	case r.Position != pos:
		return fmt.Errorf("position %d follows on %d", r.Position, pos-1)
	case r.Batch != first:
		return fmt.Errorf("position %d is of batch %d, want %d", pos, r.Batch, first)
	case !sameEvent(&e.batch.Events[i], &r.Event):
		return fmt.Errorf("position %d differs from event %d of batch %d:\n  %s\n  %+v", pos, i+1, e.n, digest(r), e.batch.Events[i])
	case i > 0 && len(r.Conditions) > 0:
		return fmt.Errorf("position %d has conditions, and is not the first of its batch", pos)
	case r.Time.Before(c.time):
		return fmt.Errorf("the time runs backwards at position %d: %d after %d", pos, nano(r.Time), nano(c.time))
	case i > 0 && !r.Time.Equal(c.time):
		return fmt.Errorf("position %d has another time than its batch", pos)
	case !e.batch.Time.IsZero() && !r.Time.Equal(e.batch.Time):
		return fmt.Errorf("position %d has the time %d, appended with %d", pos, nano(r.Time), nano(e.batch.Time))
	case c.ids[r.ID] != 0:
		return fmt.Errorf("ID %s is at positions %d and %d", r.ID, c.ids[r.ID], pos)
	}
	c.time = r.Time
	c.ids[r.ID] = pos
	want := uint64(0)
	if r.Stream != "" {
		c.versions[r.Stream]++
		want = c.versions[r.Stream]
	}
	if r.Version != want {
		return fmt.Errorf("position %d has version %d of %q, want %d", pos, r.Version, r.Stream, want)
	}
	return nil
}

// conditions checks that e's conditions held before first.
func (c *checker) conditions(e *entry, first driver.Position) error {
	for _, cond := range e.batch.Conditions {
		if why := fails(cond, c.log[:first-1], c.versions); why != "" {
			return fmt.Errorf("batch %d is at position %d though its condition failed: %s, but %s", e.n, first, cond, why)
		}
	}
	return nil
}

// fails says why cond fails at the end of log, "" if it holds.
func fails(cond driver.Condition, log []driver.Record, versions map[string]uint64) string {
	v := versions[cond.Stream]
	switch cond.Kind {
	case driver.StreamAtKind:
		if v != cond.Version {
			return fmt.Sprintf("it is at version %d", v)
		}
	case driver.StreamAbsentKind:
		if v != 0 {
			return fmt.Sprintf("it is at version %d", v)
		}
	case driver.StreamPresentKind:
		if v == 0 {
			return "it is absent"
		}
	case driver.NoneAfterKind:
		for i := int(min(cond.After, driver.Position(len(log)))); i < len(log); i++ {
			if cond.Query.Matches(&log[i].Event) {
				return fmt.Sprintf("position %d matches", i+1)
			}
		}
	}
	return ""
}

// promise checks that what was acknowledged of e is so.
func (c *checker) promise(e *entry) error {
	if e.receipt == nil {
		return nil
	}
	r, at := e.receipt, c.found[e]
	switch {
	case at == 0 && c.end > whole && int(r.First) > len(c.log):
		return nil
	case at == 0:
		return fmt.Errorf("batch %d, acknowledged at positions %d to %d, is not in the log, which ends at %d", e.n, r.First, r.Last, len(c.log))
	case at != r.First:
		return fmt.Errorf("batch %d, acknowledged at position %d, is at %d", e.n, r.First, at)
	case !c.log[at-1].Time.Equal(r.Time):
		return fmt.Errorf("batch %d at position %d has the time %d, its receipt said %d", e.n, at, nano(c.log[at-1].Time), nano(r.Time))
	}
	for i, v := range r.Versions[:min(len(r.Versions), len(c.log)-int(at)+1)] {
		if got := c.log[int(at)-1+i].Version; got != v {
			return fmt.Errorf("position %d has version %d, its receipt said %d", int(at)+i, got, v)
		}
	}
	return nil
}

// sameEvent reports whether a and b are equal in every field.
func sameEvent(a, b *driver.Event) bool {
	return a.ID == b.ID && a.Stream == b.Stream && a.Type == b.Type && a.Encoding == b.Encoding && bytes.Equal(a.Data, b.Data) &&
		slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Metadata, b.Metadata) && nano(a.Occurred) == nano(b.Occurred)
}

// sameRecord reports whether a and b are equal in every field.
func sameRecord(a, b *driver.Record) bool {
	return a.Position == b.Position && a.Version == b.Version && a.Batch == b.Batch && a.Time.Equal(b.Time) &&
		sameEvent(&a.Event, &b.Event) && sameConditions(a.Conditions, b.Conditions)
}

func sameConditions(a, b []driver.Condition) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) // no slice and an empty one are the same here
}

// nano is t in nanoseconds since 1970, 0 for the zero time.
func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
