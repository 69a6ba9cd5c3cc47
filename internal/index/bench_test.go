package index

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/annals-db/annals/driver"
)

// segmentOf250k is a segment of 250,000 records out of a log with a million
// streams, one tag each by the same rule, 8 types.
var segmentOf250k = shape{n: 250_000, streams: 1_000_000, tags: 1_000_000, types: 8}

func fixedRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func BenchmarkAdd(b *testing.B) {
	for _, streams := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			sh := segmentOf250k
			sh.streams, sh.tags = streams, streams
			entries := segment(fixedRand(), 1, sh)
			b.ReportAllocs()
			at := len(entries)
			var m *Mem
			for b.Loop() {
				if at == len(entries) {
					m, at = NewMem(1), 0
				}
				m.Add(entries[at : at+1])
				at++
			}
			_ = m.Len()
		})
	}
}

func BenchmarkMemory(b *testing.B) {
	entries := segment(fixedRand(), 1, segmentOf250k)
	for b.Loop() {
		before := heap()
		m := NewMem(1)
		m.Add(entries)
		b.ReportMetric(float64(heap()-before)/float64(len(entries)), "B/event")
		runtime.KeepAlive(m)
	}
	runtime.KeepAlive(entries)
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkSeal reports the size of the index file and the rate of making it.
func BenchmarkSeal(b *testing.B) {
	few, random := segmentOf250k, segmentOf250k
	few.streams, few.tags = 10_000, 10_000
	random.randomIDs = true
	for name, sh := range map[string]shape{"streams=1000000": segmentOf250k, "streams=10000": few, "streams=1000000,randomIDs": random} {
		b.Run(name, func(b *testing.B) {
			m := memOf(fixedRand(), 1, segment(fixedRand(), 1, sh))
			var size bytes.Buffer
			for b.Loop() {
				size.Reset()
				if err := m.Seal(&size, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size.Len())/float64(sh.n), "B/event")
			b.ReportMetric(float64(sh.n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}

func benchmarkSealed(b *testing.B, sh shape) (*Mem, *Sealed, []Entry) {
	entries := segment(fixedRand(), 1, sh)
	m := memOf(fixedRand(), 1, entries)
	return m, sealedOf(b, m, nil, NewCache(64<<20)), entries
}

func BenchmarkLookup(b *testing.B) {
	m, s, entries := benchmarkSealed(b, segmentOf250k)
	random := segmentOf250k
	random.randomIDs = true
	_, r, others := benchmarkSealed(b, random)
	drain := func(b *testing.B, h Hit, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	absent := make([]string, 1024)
	for i := range absent {
		absent[i] = fmt.Sprintf("absent-%d", i)
	}
	run := func(name string, f func(b *testing.B, e *Entry, i int)) {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i += 7919
				f(b, &entries[i%len(entries)], i)
			}
		})
	}
	run("Mem/LastOf", func(b *testing.B, e *Entry, _ int) { m.LastOf(e.Stream) })
	run("Mem/LastOfAbsent", func(b *testing.B, _ *Entry, i int) { m.LastOf(absent[i%1024]) })
	run("Mem/FindID", func(b *testing.B, e *Entry, _ int) { m.FindID(e.ID) })
	run("Mem/FindIDAbsent", func(b *testing.B, _ *Entry, i int) { m.FindID(others[i%len(others)].ID) })
	run("Sealed/LastOf", func(b *testing.B, e *Entry, _ int) {
		for h, err := range s.LastOf(e.Stream) {
			drain(b, h, err)
		}
	})
	run("Sealed/LastOfAbsent", func(b *testing.B, _ *Entry, i int) {
		for h, err := range s.LastOf(absent[i%1024]) {
			drain(b, h, err)
		}
	})
	run("Sealed/FindOrderedID", func(b *testing.B, e *Entry, _ int) {
		for h, err := range s.FindID(e.ID) {
			drain(b, h, err)
		}
	})
	run("Sealed/FindRandomID", func(b *testing.B, _ *Entry, i int) {
		for h, err := range r.FindID(others[i%len(others)].ID) {
			drain(b, h, err)
		}
	})
	run("Sealed/FindRandomIDAbsent", func(b *testing.B, e *Entry, _ int) {
		for h, err := range r.FindID(e.ID) {
			drain(b, h, err)
		}
	})
	run("Sealed/Offset", func(b *testing.B, e *Entry, _ int) {
		_, err := s.Offset(e.Position)
		drain(b, Hit{}, err)
	})
}

// BenchmarkSelect reports the time of a whole query and that per hit.
func BenchmarkSelect(b *testing.B) {
	sh := segmentOf250k
	sh.streams, sh.tags = 2500, 2500
	m, s, entries := benchmarkSealed(b, sh)
	e := &entries[1000]
	for name, q := range map[string]driver.Query{
		"everything": {},
		"type":       {Items: []driver.Item{{Types: []string{e.Type}}}},
		"stream":     {Items: []driver.Item{{Streams: []string{e.Stream}}}},
		"tag+types":  {Items: []driver.Item{{Tags: e.Tags, Types: []string{e.Type, "Type1", "Type2"}}}},
		"absent tag": {Items: []driver.Item{{Tags: []string{"absent:1"}, Types: []string{e.Type}}}},
	} {
		for _, x := range []struct {
			name string
			selector
		}{{"Mem", m}, {"Sealed", s}} {
			b.Run(x.name+"/"+name, func(b *testing.B) {
				hits := 0
				for b.Loop() {
					for _, err := range x.Select(q, 0, ^driver.Position(0), false) {
						if err != nil {
							b.Fatal(err)
						}
						hits++
					}
				}
				b.ReportMetric(float64(hits)/float64(b.N), "hits")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(hits, 1)), "ns/hit")
			})
		}
	}
}

type selector interface {
	Select(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[Hit, error]
}

func BenchmarkOpen(b *testing.B) {
	var file bytes.Buffer
	if err := memOf(fixedRand(), 1, segment(fixedRand(), 1, segmentOf250k)).Seal(&file, make([]byte, 500)); err != nil {
		b.Fatal(err)
	}
	cache := NewCache(1 << 20)
	for b.Loop() {
		s, err := OpenSealed(bytes.NewReader(file.Bytes()), int64(file.Len()), cache)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
