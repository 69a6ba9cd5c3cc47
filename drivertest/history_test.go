package drivertest

import (
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
)

// TestHistoryFaults judges the same small history with one answer changed at a time.
func TestHistoryFaults(t *testing.T) {
	for _, c := range []struct {
		want   string // "" where nothing is wrong
		change func(h *history, log []driver.Record) []driver.Record
	}{
		{"", func(_ *history, log []driver.Record) []driver.Record { return log }},
		{"record 2 is at position 3", func(_ *history, log []driver.Record) []driver.Record { return append(log[:1:1], log[2]) }},
		{"does not fit a batch of 1 in a log of 2", func(_ *history, log []driver.Record) []driver.Record { return log[:2] }},
		{"was never acknowledged", func(h *history, log []driver.Record) []driver.Record {
			h.ops = h.ops[1:]
			return log
		}},
		{"position 1 was acknowledged twice", func(h *history, log []driver.Record) []driver.Record {
			again := *h.ops[0]
			h.ops = append(h.ops, &again)
			return log
		}},
		{"the record acknowledged at 1: type is", func(_ *history, log []driver.Record) []driver.Record {
			log[0].Type = "Other"
			return log
		}},
		{"a batch was acknowledged at 2 to 2 while the head was 1", func(h *history, log []driver.Record) []driver.Record {
			h.ops[1].readable = 1
			return log
		}},
		{"the batch at 2 was taken though stream \"item-1\" at version 3 was required", func(h *history, log []driver.Record) []driver.Record {
			h.ops[1].batch.Conditions[0].Version = 3
			log[1].Conditions = h.ops[1].batch.Conditions
			return log
		}},
		{"the batch at 2 was acknowledged before the one at 1 was begun", func(h *history, log []driver.Record) []driver.Record {
			h.ops[0].called, h.ops[0].answered, h.ops[1].called, h.ops[1].answered = 3, 4, 1, 2
			return log
		}},
		{"reports head 4 while the log could be read up to 3", changeConflict(func(c *driver.ConflictError) { c.Head = 4 })},
		{"fails at head 1, where it holds", changeConflict(func(c *driver.ConflictError) { c.Head = 1 })},
		{"says that stream \"item-1\" is at version 7; at head 2 it is at 2", changeConflict(func(c *driver.ConflictError) { c.Version = 7 })},
		{"names condition 0", changeConflict(func(c *driver.ConflictError) { c.Index = 0 })},
		{"an append was answered with", func(h *history, log []driver.Record) []driver.Record {
			h.ops[3].err = driver.ErrUnavailable
			return log
		}},
		{"was not the first to fail at any head from 2 to 3", func(h *history, log []driver.Record) []driver.Record {
			c := driver.StreamAbsent("item-1") // fails before the one that is named
			h.ops[3].batch.Conditions[0] = c
			return log
		}},
		{"names position 1, which does not break no event", func(h *history, log []driver.Record) []driver.Record {
			c := driver.NoneAfter(ofStream("item-2"), 0)
			h.ops[3].batch.Conditions[1] = c
			h.ops[3].err = &driver.ConflictError{Condition: c, Index: 1, Head: 3, Position: 1}
			return log
		}},
	} {
		t.Run("want "+c.want, func(t *testing.T) {
			h, log := smallHistory()
			got := strings.Join(h.faults(c.change(h, log)), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("the faults are %q, want %q", got, c.want)
			}
		})
	}
}

func changeConflict(change func(c *driver.ConflictError)) func(h *history, log []driver.Record) []driver.Record {
	return func(h *history, log []driver.Record) []driver.Record {
		change(h.ops[3].err.(*driver.ConflictError))
		return log
	}
}

// smallHistory is three appends that were taken and one that was refused.
func smallHistory() (*history, []driver.Record) {
	h := &history{}
	var log []driver.Record
	took := func(stream string, version uint64, conditions ...driver.Condition) {
		p := driver.Position(len(log) + 1)
		ev := driver.Event{ID: numbered(uint64(p)), Stream: stream, Type: "A"}
		op := &operation{batch: driver.Batch{Events: []driver.Event{ev}, Conditions: conditions}, called: int64(2*p - 1), answered: int64(2 * p),
			receipt: driver.Receipt{First: p, Last: p, Versions: []uint64{version}}, readable: p}
		h.ops = append(h.ops, op)
		log = append(log, recordsOf(op.batch, op.receipt)...)
	}
	took("item-1", 1, driver.StreamAbsent("item-1"))
	took("item-1", 2, driver.StreamAt("item-1", 1))
	took("item-2", 1, driver.NoneAfter(ofStream("item-2"), 0))
	refused := []driver.Condition{driver.StreamPresent("item-1"), driver.StreamAt("item-1", 1)}
	h.ops = append(h.ops, &operation{
		batch:  driver.Batch{Events: []driver.Event{{ID: numbered(9), Stream: "item-1", Type: "A"}}, Conditions: refused},
		called: 5, answered: 8, readable: 3, // called after the second was answered
		err: &driver.ConflictError{Condition: refused[1], Index: 1, Head: 2, Version: 2},
	})
	return h, log
}
