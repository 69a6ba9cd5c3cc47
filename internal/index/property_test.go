package index

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/annals-db/annals/driver"
)

// naive answers by looking at every entry.
type naive struct {
	first   driver.Position
	entries []Entry
}

func (n naive) selected(q driver.Query, after, upTo driver.Position, backward bool) (hits []Hit) {
	for i := range n.entries {
		if e := &n.entries[i]; e.Position > after && e.Position <= upTo && q.Matches(event(e)) {
			hits = append(hits, Hit{e.Position, e.Offset})
		}
	}
	if backward {
		slices.Reverse(hits)
	}
	return hits
}

// verified leaves out of candidates those that do not match, as a store does
// by reading them, and fails where they are out of order or place.
func (n naive) verified(t *testing.T, candidates []Hit, q driver.Query, after, upTo driver.Position, backward bool) (hits []Hit) {
	t.Helper()
	for i, h := range candidates {
		if i > 0 && (h.Position > candidates[i-1].Position) == backward || i > 0 && h.Position == candidates[i-1].Position {
			t.Fatalf("candidate %d follows %d", h.Position, candidates[i-1].Position)
		}
		if h.Position <= after || h.Position > upTo {
			t.Fatalf("candidate %d lies outside (%d, %d]", h.Position, after, upTo)
		}
		e := &n.entries[h.Position-n.first]
		if e.Offset != h.Offset {
			t.Fatalf("candidate %d is at offset %d, not %d", h.Position, e.Offset, h.Offset)
		}
		if q.Matches(event(e)) {
			hits = append(hits, h)
		}
	}
	return hits
}

func collect(t *testing.T, seq iter.Seq2[Hit, error]) (hits []Hit) {
	t.Helper()
	for h, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		hits = append(hits, h)
	}
	return hits
}

// query makes up a query of which some names occur and some do not.
func (n naive) query(rng *rand.Rand) (q driver.Query) {
	for range rng.IntN(4) {
		e := &Entry{Stream: "absent-1", Type: "Absent", Tags: []string{"absent:1"}}
		if len(n.entries) > 0 && rng.IntN(8) > 0 {
			e = &n.entries[rng.IntN(len(n.entries))]
		}
		var i driver.Item
		if rng.IntN(3) == 0 {
			i.Types = append(i.Types, e.Type, fmt.Sprintf("Type%d", rng.IntN(12)))
		}
		if rng.IntN(3) == 0 {
			i.Tags = e.Tags[:rng.IntN(len(e.Tags)+1)]
		}
		if rng.IntN(3) == 0 {
			i.Streams = append(i.Streams, e.Stream)
			for range rng.IntN(30) {
				i.Streams = append(i.Streams, fmt.Sprintf("item-%d", rng.IntN(40)))
			}
		}
		if rng.IntN(4) == 0 {
			i.Category = []string{"item", "order", "bare1", "absent", "item-1"}[rng.IntN(5)]
		}
		if rng.IntN(4) == 0 {
			i.IDs = append(i.IDs, e.ID)
			for range rng.IntN(12) {
				i.IDs = append(i.IDs, newID(rng, rng.IntN(2) == 0, e.Time))
			}
		}
		q.Items = append(q.Items, i)
	}
	return q
}

var shapes = []shape{
	{n: 0, streams: 1, tags: 1, types: 1},
	{n: 1, streams: 1, tags: 1, types: 1},
	{n: 40, streams: 3, tags: 3, types: 2, mixed: true},
	{n: 300, streams: 20, tags: 50, types: 3, mixed: true},
	{n: 3000, streams: 2, tags: 2, types: 1},
	{n: 3000, streams: 900, tags: 900, types: 10, mixed: true},
	{n: 3000, streams: 40, tags: 3000, types: 5, randomIDs: true},
	{n: 5000, streams: 3000, tags: 50, types: 8, mixed: true},
}

func TestEveryIndexAnswersAsALookAtEveryEntryWould(t *testing.T) {
	rng := newRand(t)
	for _, sh := range shapes {
		for _, cacheBytes := range []int64{0, 1 << 20} {
			t.Run(fmt.Sprintf("%+v with a cache of %d", sh, cacheBytes), func(t *testing.T) {
				first := 1 + driver.Position(rng.IntN(1000))
				n := naive{first, segment(rng, first, sh)}
				mem := memOf(rng, first, n.entries)
				sealed := sealedOf(t, mem, nil, NewCache(cacheBytes))
				wrong := 0
				for range 80 {
					wrong += n.compareSelect(t, rng, mem, sealed)
				}
				if wrong > 80*(20+sh.n/20) {
					t.Errorf("%d wrong candidates in 80 queries", wrong)
				}
				n.compareLookups(t, rng, mem, sealed)
				n.compareTimes(t, rng, mem, sealed)
			})
		}
	}
}

// compareSelect returns how many candidates of Sealed were wrong.
func (n naive) compareSelect(t *testing.T, rng *rand.Rand, mem *Mem, sealed *Sealed) int {
	t.Helper()
	q, backward := n.query(rng), rng.IntN(2) == 0
	after := n.first - 1 + driver.Position(rng.IntN(len(n.entries)+1))
	upTo := after + driver.Position(rng.IntN(len(n.entries)+2))
	if rng.IntN(2) == 0 {
		after, upTo = 0, ^driver.Position(0)
	}
	want := n.selected(q, after, upTo, backward)
	if got := collect(t, mem.Select(q, after, upTo, backward)); !slices.Equal(got, want) {
		t.Fatalf("Mem: %s in (%d, %d], backward %v: got %d hits, want %d", q, after, upTo, backward, len(got), len(want))
	}
	candidates := collect(t, sealed.Select(q, after, upTo, backward))
	if got := n.verified(t, candidates, q, after, upTo, backward); !slices.Equal(got, want) {
		t.Fatalf("Sealed: %s in (%d, %d], backward %v: got %d hits, want %d", q, after, upTo, backward, len(got), len(want))
	}
	return len(candidates) - len(want)
}

func (n naive) compareLookups(t *testing.T, rng *rand.Rand, mem *Mem, sealed *Sealed) {
	t.Helper()
	last := map[string]int{}
	for i := range n.entries {
		e := &n.entries[i]
		last[e.Stream] = i
		want := Hit{e.Position, e.Offset}
		if got, ok := mem.FindID(e.ID); !ok || got != want {
			t.Fatalf("Mem: ID %s: got %v, want %v", e.ID, got, want)
		}
		if found := collect(t, sealed.FindID(e.ID)); !slices.Contains(found, want) {
			t.Fatalf("Sealed: ID %s: got %v, want %v", e.ID, found, want)
		}
		for _, x := range []interface {
			Offset(driver.Position) (int64, error)
		}{mem, sealed} {
			if o, err := x.Offset(e.Position); err != nil || o != e.Offset {
				t.Fatalf("%T: offset of %d: got %d, %v, want %d", x, e.Position, o, err, e.Offset)
			}
		}
	}
	delete(last, "")
	for stream, i := range last {
		e := &n.entries[i]
		want := Hit{e.Position, e.Offset}
		if got, version, ok := mem.LastOf(stream); !ok || got != want || version != e.Version {
			t.Fatalf("Mem: last of %s: got %v at %d, want %v at %d", stream, got, version, want, e.Version)
		}
		found := collect(t, sealed.LastOf(stream))
		proved := slices.IndexFunc(found, func(h Hit) bool { return n.entries[h.Position-n.first].Stream == stream })
		if proved < 0 || found[proved] != want {
			t.Fatalf("Sealed: last of %s: got %v, want %v", stream, found, want)
		}
	}
	wrong := 0
	for range 1000 {
		name, id := fmt.Sprintf("absent-%d", rng.Uint64()), newID(rng, true, 0)
		if _, _, ok := mem.LastOf(name); ok {
			t.Fatalf("Mem has the stream %s", name)
		}
		if _, ok := mem.FindID(id); ok {
			t.Fatalf("Mem has the ID %s", id)
		}
		wrong += len(collect(t, sealed.LastOf(name))) + len(collect(t, sealed.FindID(id)))
	}
	if wrong > 20 {
		t.Errorf("%d candidates for 2,000 absent names", wrong)
	}
}

func (n naive) compareTimes(t *testing.T, rng *rand.Rand, mem *Mem, sealed *Sealed) {
	t.Helper()
	times := []int64{-1 << 63, 0, 1<<63 - 1}
	for range 300 {
		if len(n.entries) > 0 {
			times = append(times, n.entries[rng.IntN(len(n.entries))].Time+int64(rng.IntN(3))-1)
		}
	}
	for _, at := range times {
		want := n.first - 1
		for i := range n.entries {
			if n.entries[i].Time <= at {
				want = n.entries[i].Position
			}
		}
		if got := mem.AtOrBefore(at); got != want {
			t.Fatalf("Mem: at or before %d: got %d, want %d", at, got, want)
		}
		low, high, err := sealed.AtOrBefore(at)
		if err != nil || want < low || want > high || high >= low+groupLen {
			t.Fatalf("Sealed: at or before %d: got %d to %d, %v, want %d", at, low, high, err, want)
		}
	}
}

func TestAListIsSoughtFromEveryOrdinalOn(t *testing.T) {
	rng := newRand(t)
	for _, every := range []int{1, 3, 200} {
		var sought []int64
		entries := segment(rng, 1, shape{n: 2000, streams: 5, tags: 5, types: 1})
		for i := range entries {
			entries[i].Type = "Other"
			if rng.IntN(every) == 0 {
				entries[i].Type = "Sought"
				sought = append(sought, int64(i))
			}
		}
		s := sealedOf(t, memOf(rng, 1, entries), nil, nil)
		for x := range int64(len(entries)) {
			for _, step := range []int64{1, -1} {
				lists, err := s.dicts[typeNames].find("Sought")
				if err != nil || len(lists) != 1 {
					t.Fatal(len(lists), err)
				}
				c := newListCursor(lists[0], step < 0)
				for at := x; at >= 0 && at < int64(len(entries)); at += step * (1 + rng.Int64N(600)) {
					soughtFrom(t, c, sought, at)
				}
			}
		}
	}
}

func soughtFrom(t *testing.T, c *listCursor, sought []int64, x int64) {
	t.Helper()
	i, found := slices.BinarySearch(sought, x)
	if c.backward && !found {
		i--
	}
	got, ok, err := c.seek(x)
	if err != nil || ok != (i >= 0 && i < len(sought)) || ok && got != sought[i] {
		t.Fatalf("from %d, backward %v: got %d, %v, %v", x, c.backward, got, ok, err)
	}
}
