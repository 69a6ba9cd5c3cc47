package drivertest

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

var hashTests = []test{
	{"the tree head of an empty log is that of the empty tree", func(e *env) {
		equal(e.T, "tree head", e.treeHead(capability[driver.Hasher](e), 0), sha256.Sum256(nil))
	}},
	{"the tree head at every position is the same as in every other store", func(e *env) {
		h := capability[driver.Hasher](e)
		e.seeds(1, func(e *env, r *rand.Rand) {
			h = e.log.(driver.Hasher)
			for range 30 {
				b := driver.Batch{Events: e.events("item-1", r.IntN(3))}
				for range 1 + r.IntN(3) {
					b.Events = append(b.Events, zooEvent(e.id(), r))
				}
				if r.IntN(2) == 0 {
					b.Conditions = []driver.Condition{driver.NoneAfter(items(driver.Item{Types: some(r, zooTypes, 2), Tags: []string{"un:known"}}), 0)}
				}
				e.appendBatch(b)
			}
			e.append(oddEvents(e)...)
			oracle := memstore.New(nil)
			copyLog(e, oracle)
			for p := driver.Position(0); p <= e.head(); p++ {
				equal(e.T, "tree head", e.treeHead(h, p), e.treeHead(oracle, p))
			}
			for range 20 { // not only in order
				p := driver.Position(r.IntN(int(e.head()) + 1))
				equal(e.T, "tree head", e.treeHead(h, p), e.treeHead(oracle, p))
			}
		})
	}},
	{"every field of a record is hashed", func(e *env) {
		capability[driver.Hasher](e)
		base := driver.Batch{Events: []driver.Event{{ID: driver.ID{1}, Stream: "item-1", Type: "A", Data: []byte("d"), Tags: []string{"a:1", "b:2"},
			Metadata: driver.Metadata{{Key: "k", Value: "v"}}}}, Conditions: []driver.Condition{driver.StreamAbsent("item-1")}}
		at := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
		seen := map[[32]byte]string{}
		for _, c := range []struct {
			name   string
			change func(b *driver.Batch, ev *driver.Event)
		}{
			{"nothing", func(b *driver.Batch, ev *driver.Event) {}},
			{"id", func(b *driver.Batch, ev *driver.Event) { ev.ID[15] = 1 }},
			{"stream", func(b *driver.Batch, ev *driver.Event) { ev.Stream = "item-2" }},
			{"type", func(b *driver.Batch, ev *driver.Event) { ev.Type = "B" }},
			{"encoding", func(b *driver.Batch, ev *driver.Event) { ev.Encoding = "cbor" }},
			{"data", func(b *driver.Batch, ev *driver.Event) { ev.Data = []byte("e") }},
			{"tags", func(b *driver.Batch, ev *driver.Event) { ev.Tags = []string{"a:1"} }},
			{"tags' order", func(b *driver.Batch, ev *driver.Event) { ev.Tags = []string{"b:2", "a:1"} }},
			{"metadata", func(b *driver.Batch, ev *driver.Event) { ev.Metadata = driver.Metadata{{Key: "kv"}} }},
			{"occurred", func(b *driver.Batch, ev *driver.Event) { ev.Occurred = at.Add(1) }},
			{"time", func(b *driver.Batch, ev *driver.Event) { b.Time = at.Add(1) }},
			{"conditions", func(b *driver.Batch, ev *driver.Event) { b.Conditions = nil }},
		} {
			e := e.another(nil)
			b, ev := base, base.Events[0]
			b.Time = at
			c.change(&b, &ev)
			b.Events = []driver.Event{ev}
			e.appendBatch(b)
			head := e.treeHead(e.log.(driver.Hasher), 1)
			if other, ok := seen[head]; ok {
				e.Errorf("a record that differs in %s has the hash of one that differs in %s", c.name, other)
			}
			seen[head] = c.name
		}
	}},
	{"a tree head does not change as the log grows", func(e *env) {
		h := capability[driver.Hasher](e)
		e.append(e.events("item-1", 5)...)
		before := e.treeHead(h, 3)
		e.append(e.events("item-1", 5)...)
		e.treeHead(h, 10)
		equal(e.T, "tree head", e.treeHead(h, 3), before)
	}},
	{"a tree head beyond the head is an error", func(e *env) {
		h := capability[driver.Hasher](e)
		e.append(e.events("item-1", 2)...)
		_, err := h.TreeHead(e.ctx, 3)
		var pe *driver.PositionError
		if !errors.As(err, &pe) {
			e.Errorf("TreeHead(3) of 2 records returned %v", err)
		}
	}},
}

func (e *env) treeHead(h driver.Hasher, p driver.Position) [32]byte {
	e.Helper()
	head, err := h.TreeHead(e.ctx, p)
	if err != nil {
		e.Fatalf("TreeHead(%d): %v", p, err)
	}
	return head
}

// copyLog appends to another log what e's holds, batch by batch.
func copyLog(e *env, to driver.Log) {
	e.Helper()
	var b driver.Batch
	flush := func() {
		if len(b.Events) > 0 {
			if _, err := to.Append(e.ctx, b); err != nil {
				e.Fatalf("copy: %v", err)
			}
		}
	}
	for _, r := range e.all() {
		if r.Batch == r.Position {
			flush()
			b = driver.Batch{Conditions: r.Conditions, Time: r.Time}
		}
		b.Events = append(b.Events, r.Event)
	}
	flush()
}
