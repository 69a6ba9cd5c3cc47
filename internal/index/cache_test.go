package index

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/annals-db/annals/driver"
)

func TestTheCacheStaysWithinItsBytesAndIsEmptyOnceAllIsClosed(t *testing.T) {
	rng := newRand(t)
	const limit = 64 << 10
	cache := NewCache(limit)
	var files []*Sealed
	n := naive{1, segment(rng, 1, shape{n: 5000, streams: 4000, tags: 4000, types: 3, mixed: true})}
	for range 8 {
		files = append(files, sealedOf(t, memOf(rng, 1, n.entries), nil, cache))
	}
	for i := range 2000 {
		s, e := files[rng.IntN(len(files))], &n.entries[rng.IntN(len(n.entries))]
		collect(t, s.LastOf(e.Stream))
		collect(t, s.FindID(e.ID))
		collect(t, s.Select(driver.Query{Items: []driver.Item{{Tags: e.Tags}}}, 0, 5000, false))
		if size := cache.size(); size > limit {
			t.Fatalf("after %d rounds the cache holds %d bytes", i, size)
		}
	}
	if cache.size() < limit/2 {
		t.Errorf("the cache holds %d bytes only", cache.size())
	}
	for _, s := range files {
		s.Close()
		s.Close()
	}
	if size := cache.size(); size != 0 {
		t.Errorf("with all files closed the cache holds %d bytes", size)
	}
}

func TestAFilterTakesTheRoomOfPages(t *testing.T) {
	rng := newRand(t)
	const limit = 48 << 10
	cache := NewCache(limit)
	entries := segment(rng, 1, shape{n: 20000, streams: 20000, tags: 9000, types: 3})
	s := sealedOf(t, memOf(rng, 1, entries), nil, cache)
	collect(t, s.Select(driver.Query{Items: []driver.Item{{Types: []string{"Type0", "Type1", "Type2"}}}}, 0, 20000, false))
	for i := range entries {
		if _, err := s.Offset(entries[i].Position); err != nil {
			t.Fatal(err)
		}
	}
	before := cache.size()
	collect(t, s.LastOf("absent"))
	if size := cache.size(); cache.filters.Load() < limit/8 || size > limit {
		t.Errorf("the cache held %d bytes, and with filters of %d bytes %d", before, cache.filters.Load(), size)
	}
}

// countingReader counts reads.
type countingReader struct {
	failing
	reads int
}

func (c *countingReader) ReadAt(b []byte, at int64) (int, error) {
	c.reads++
	return c.failing.ReadAt(b, at)
}

func TestAbsentNamesAreAnsweredWithoutReading(t *testing.T) {
	rng := newRand(t)
	m := memOf(rng, 1, segment(rng, 1, shape{n: 20000, streams: 10000, tags: 10000, types: 3, randomIDs: true}))
	b := file(t, m, nil)
	r := &countingReader{failing: failing{ReaderAt: bytes.NewReader(b)}}
	s, err := OpenSealed(r, int64(len(b)), NewCache(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(i int) {
		collect(t, s.LastOf(fmt.Sprintf("absent-%d", i)))
		collect(t, s.FindID(newID(rng, true, 0)))
		collect(t, s.Select(driver.Query{Items: []driver.Item{{Tags: []string{fmt.Sprintf("absent:%d", i)}, Types: []string{"Type0"}}}}, 0, 1e6, false))
	}
	ask(-1)
	absent := "absent"
	for len(collect(t, s.LastOf(absent))) > 0 {
		absent += "+"
	}
	if n := testing.AllocsPerRun(100, func() {
		for range s.LastOf(absent) {
			continue
		}
	}); n != 0 {
		t.Errorf("%v allocations for an absent stream", n)
	}
	before := r.reads
	for i := range 1000 {
		ask(i)
	}
	// About one in 4,096 is a wrong candidate, which takes a few pages.
	if n := r.reads - before; n > 50 {
		t.Errorf("%d reads for 3,000 absent names", n)
	}
}

func TestOpeningReadsTheHeadOnly(t *testing.T) {
	rng := newRand(t)
	b := file(t, memOf(rng, 1, segment(rng, 1, shape{n: 20000, streams: 10000, tags: 10000, types: 3})), make([]byte, 500))
	r := &countingReader{failing: failing{ReaderAt: bytes.NewReader(b)}}
	if _, err := OpenSealed(r, int64(len(b)), nil); err != nil || r.reads > 2 {
		t.Errorf("%d reads, %v", r.reads, err)
	}
}
