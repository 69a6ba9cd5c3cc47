package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/annals-db/annals/driver"
)

// shape says what a made-up segment is like.
type shape struct {
	n, streams, tags, types int
	randomIDs               bool // else UUID version 7 in about the order of the records
	mixed                   bool // some IDs random, some with times far off, some records without stream, several tags
}

// segment makes the entries of a segment.
func segment(rng *rand.Rand, first driver.Position, s shape) []Entry {
	entries := make([]Entry, s.n)
	versions := map[string]uint64{}
	now, offset := int64(1_700_000_000_000_000_000), int64(4096)
	group := 0
	for i := range entries {
		if group--; group <= 0 {
			group = 1 + rng.IntN(64)
			now += int64(rng.IntN(2_000_000))
		}
		e := &entries[i]
		*e = Entry{Position: first + driver.Position(i), Offset: offset, Time: now, Type: fmt.Sprintf("Type%d", rng.IntN(s.types))}
		offset += int64(150 + rng.IntN(200))
		stream := rng.IntN(s.streams)
		e.Stream = fmt.Sprintf("item-%d", stream)
		e.Tags = []string{fmt.Sprintf("item:%d", rng.IntN(s.tags))}
		e.ID = newID(rng, s.randomIDs, now)
		if s.mixed {
			mix(rng, e, stream)
		}
		if e.Stream != "" {
			versions[e.Stream]++
			e.Version = versions[e.Stream]
		}
	}
	return entries
}

// mix makes an entry less even.
func mix(rng *rand.Rand, e *Entry, stream int) {
	e.Stream = []string{e.Stream, e.Stream, fmt.Sprintf("order-%d", stream), "item", fmt.Sprintf("bare%d", stream%3), ""}[rng.IntN(6)]
	for i := range rng.IntN(4) {
		e.Tags = append(e.Tags, fmt.Sprintf("kind%d:%d", i, rng.IntN(3)))
	}
	if e.Stream != "" && rng.IntN(4) == 0 {
		e.Tags = nil
	}
	switch rng.IntN(8) {
	case 0:
		e.ID = newID(rng, true, e.Time)
	case 1:
		e.ID = newID(rng, false, e.Time+rng.Int64N(1e18)-5e17)
	}
}

func newID(rng *rand.Rand, random bool, now int64) (id driver.ID) {
	binary.BigEndian.PutUint64(id[:], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	if !random {
		ms := uint64(now/1e6) - uint64(rng.IntN(3))
		binary.BigEndian.PutUint64(id[:], ms<<16|rng.Uint64()&0xffff)
		id[6] = id[6]&0x0f | 0x70
	} else if id[6]>>4 == 7 {
		id[6] ^= 0x30
	}
	id[8] = id[8]&0x3f | 0x80
	return id
}

// memOf returns the index of entries, added in groups of various sizes.
func memOf(rng *rand.Rand, first driver.Position, entries []Entry) *Mem {
	m := NewMem(first)
	for len(entries) > 0 {
		n := min(1+rng.IntN(100), len(entries))
		m.Add(entries[:n])
		entries = entries[n:]
	}
	return m
}

func sealedOf(t testing.TB, m *Mem, extra []byte, cache *Cache) *Sealed {
	t.Helper()
	var b bytes.Buffer
	if err := m.Seal(&b, extra); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSealed(bytes.NewReader(b.Bytes()), int64(b.Len()), cache)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newRand returns a source by a seed that it prints.
func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func event(e *Entry) *driver.Event {
	return &driver.Event{ID: e.ID, Stream: e.Stream, Type: e.Type, Tags: e.Tags}
}
