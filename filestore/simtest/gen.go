package simtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// generator makes batches and queries of few streams, types and tags, so that
// they meet.
type generator struct {
	r     *rand.Rand
	name  string // unique in its run, goes into every payload
	count int
	world *world
}

var (
	streams  = []string{"item-a", "item-b", "item-c", "order-1", "order-2", "solo", "cart-x-1"}
	types    = []string{"Added", "Removed", "Renamed", "Checked"}
	tags     = []string{"c:1", "c:2", "user:ann", "user:bob", "k:very long tag value to make a difference in size"}
	paddings = []int{0, 0, 0, 10, 10, 100, 100, 100, 480, 480, 512, 1500, 4200}
)

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// batch returns a new batch.
func (g *generator) batch() driver.Batch {
	if g.world.uniform {
		return g.uniform()
	}
	n := 1
	if chance(g.r, 40) {
		n = 1 + g.r.IntN(5)
	}
	var b driver.Batch
	for range n {
		b.Events = append(b.Events, g.event())
	}
	for chance(g.r, 35) && len(b.Conditions) < 3 {
		b.Conditions = append(b.Conditions, g.condition())
	}
	if chance(g.r, 4) {
		b.Time = g.world.clock.coarse().Add(time.Duration(g.r.IntN(3)-1) * time.Hour)
	}
	return b
}

// uniform returns a batch of the same size as any other, which differs from it
// at the beginning of each record only. Written over another that a crash left
// in part, and torn itself, it may read as a batch of which one half is the other's.
func (g *generator) uniform() driver.Batch {
	var b driver.Batch
	for range 3 {
		g.count++
		data := fmt.Appendf(nil, `{"token":"%s","fill":"%400d"}`, g.token(), 0)
		b.Events = append(b.Events, driver.Event{ID: g.id(), Stream: streams[0], Type: types[0], Data: data})
	}
	return b
}

func (g *generator) event() driver.Event {
	g.count++
	e := driver.Event{ID: g.id(), Type: one(g.r, types), Stream: one(g.r, streams)}
	if chance(g.r, 15) {
		e.Stream = ""
	}
	for _, t := range tags {
		if chance(g.r, 25) {
			e.Tags = append(e.Tags, t)
		}
	}
	if e.Stream == "" && len(e.Tags) == 0 {
		e.Tags = []string{one(g.r, tags)}
	}
	e.Data, e.Encoding = g.data()
	if chance(g.r, 20) {
		e.Metadata = driver.Metadata{{Key: "actor", Value: g.name}, {Key: "reason", Value: "because"}}
	}
	if chance(g.r, 15) {
		e.Occurred = g.world.clock.coarse().Add(-time.Duration(g.r.IntN(1000)) * time.Hour)
	}
	return e
}

// token marks a payload so that it can be found in a file.
func (g *generator) token() string { return fmt.Sprintf("<%s-%04d>", g.name, g.count) }

// data returns a payload: JSON, or bytes that a log could mistake for its own:
// zeros, and pieces of its own files.
func (g *generator) data() ([]byte, string) {
	pad := one(g.r, paddings)
	switch {
	case chance(g.r, 10):
		return append([]byte(g.token()), make([]byte, pad+700)...), "zeros"
	case chance(g.r, 10):
		return append([]byte(g.token()), g.world.piece(g.r, pad+300)...), "own"
	}
	fill := slices.Repeat([]byte("x"), pad)
	return fmt.Appendf(nil, `{"token":"%s","fill":"%s"}`, g.token(), fill), ""
}

// id returns a version 7 UUID of about now, or a random one.
func (g *generator) id() driver.ID {
	var id driver.ID
	binary.BigEndian.PutUint64(id[:8], g.r.Uint64())
	binary.BigEndian.PutUint64(id[8:], g.r.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	if chance(g.r, 60) {
		ms := g.world.clock.coarse().UnixMilli() + int64(g.r.IntN(2000)) - 1000
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(ms)<<16)
		copy(id[:6], b[:6])
		id[6] = id[6]&0x0f | 0x70
	}
	return id
}

// condition returns one that has a fair chance of holding.
func (g *generator) condition() driver.Condition {
	stream := one(g.r, streams)
	switch g.r.IntN(8) {
	case 0:
		return driver.StreamAbsent(stream)
	case 1:
		return driver.StreamPresent(stream)
	case 2, 3, 4:
		return driver.StreamAt(stream, g.world.version(stream)-min(uint64(g.r.IntN(10)/9), g.world.version(stream)))
	}
	q := g.query()
	head := uint64(g.world.history.head())
	switch g.r.IntN(10) {
	case 0:
		return driver.NoneAfter(q, 0)
	case 1:
		return driver.NoneAfter(q, driver.Position(g.r.Uint64N(head+1)))
	}
	return driver.NoneAfter(q, driver.Position(head-min(head, g.r.Uint64N(3))))
}

// query returns a query of one or two items, or everything.
func (g *generator) query() driver.Query {
	var q driver.Query
	for range 1 + g.r.IntN(2) {
		var i driver.Item
		if chance(g.r, 40) {
			i.Types = []string{one(g.r, types), "NoSuchType"}[:1+g.r.IntN(2)]
		}
		if chance(g.r, 40) {
			i.Tags = []string{one(g.r, tags)}
			if other := one(g.r, tags); chance(g.r, 30) && other != i.Tags[0] {
				i.Tags = append(i.Tags, other)
			}
		}
		switch g.r.IntN(5) {
		case 0:
			i.Streams = []string{one(g.r, streams)}
		case 1:
			i.Category = driver.Category(one(g.r, streams))
		}
		if chance(g.r, 5) {
			if e := g.world.history.pick(g.r.IntN, func(*entry) bool { return true }); e != nil {
				i.IDs = []driver.ID{e.batch.Events[0].ID, g.id()}
			}
		}
		q.Items = append(q.Items, i)
	}
	if chance(g.r, 8) {
		q.Items = nil
	}
	return q
}
