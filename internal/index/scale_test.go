package index

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/annals-db/annals/driver"
)

// BenchmarkTenMillion seals 40 segments of 250,000 records, with a million
// streams, as many tags and random IDs, and asks all of them for absent names.
// It reports the memory that is kept and takes half a minute to set up.
func BenchmarkTenMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("takes half a minute")
	}
	cache := NewCache(64 << 20)
	dir, rng := b.TempDir(), fixedRand()
	sh := segmentOf250k
	sh.randomIDs = true
	before := heap()
	var files []*Sealed
	for i := range 40 {
		first := driver.Position(1 + i*sh.n)
		files = append(files, fileOf(b, filepath.Join(dir, fmt.Sprint(i)), memOf(rng, first, segment(rng, first, sh)), cache))
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(float64(heap()-before)/1e6, "MB")
		}
	})
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = fmt.Sprintf("absent:%d", i)
	}
	ask := func(name string, f func(s *Sealed, i int)) {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				for _, s := range files {
					f(s, i%len(names))
				}
				i++
			}
			b.ReportMetric(float64(heap()-before)/1e6, "MB")
			b.ReportMetric(float64(cache.filters.Load())/1e6, "MB-of-filters")
		})
	}
	ask("absent stream", func(s *Sealed, i int) {
		for range s.LastOf(names[i]) {
			continue
		}
	})
	ask("absent ID", func(s *Sealed, i int) {
		for range s.FindID(driver.ID{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16), 6: 0x40}) {
			continue
		}
	})
	ask("absent tag", func(s *Sealed, i int) {
		q := driver.Query{Items: []driver.Item{{Tags: names[i : i+1]}}}
		for range s.Select(q, 0, s.Last(), false) {
			continue
		}
	})
	runtime.KeepAlive(files)
}

func fileOf(b *testing.B, name string, m *Mem, cache *Cache) *Sealed {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	if err := m.Seal(f, nil); err != nil {
		b.Fatal(err)
	}
	stat, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	s, err := OpenSealed(f, stat.Size(), cache)
	if err != nil {
		b.Fatal(err)
	}
	return s
}
