package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// The rows of the table as benchmarks, to profile and compare one change with
// another. The table itself is go run ./bench.

func openBench(b *testing.B) *filestore.Store {
	b.Helper()
	log, err := filestore.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	return log
}

// cpu reports, at the benchmark's end, the CPU time of each operation, which
// other work on the machine disturbs less than the time it took.
func cpu(b *testing.B) {
	b.Helper()
	began := measure.CPUTime()
	b.Cleanup(func() {
		if b.N > 0 {
			b.ReportMetric(float64((measure.CPUTime()-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ writers, batch int }{{1, 1}, {64, 1}, {512, 1}, {1, 1000}} {
		b.Run(fmt.Sprintf("writers=%d/batch=%d", c.writers, c.batch), func(b *testing.B) {
			log := openBench(b)
			share(b, c.writers, c.batch, func(p *producer) error {
				_, err := log.Append(context.Background(), p.next())
				return err
			})
		})
	}
}

func BenchmarkRaw(b *testing.B) {
	for _, c := range []struct{ writers, batch int }{{1, 1}, {64, 1}, {512, 1}, {1, 1000}} {
		b.Run(fmt.Sprintf("writers=%d/batch=%d", c.writers, c.batch), func(b *testing.B) {
			log, err := openRaw(b.TempDir(), rawFile)
			if err != nil {
				b.Fatal(err)
			}
			defer log.close()
			share(b, c.writers, c.batch, func(p *producer) error {
				var data []byte
				for _, e := range p.next().Events {
					data = encodeEvent(data, &e, e.Occurred)
				}
				return log.append(newRawRequest(), data)
			})
		})
	}
}

// share has so many writers append b.N batches between them, and reports events a second.
func share(b *testing.B, writers, batch int, work func(*producer) error) {
	cpu(b)
	b.ResetTimer()
	turns := make(chan *producer, writers)
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			p := newProducer(w, batch)
			for range turns {
				if err := work(p); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range b.N {
		turns <- nil
	}
	close(turns)
	for range writers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkStream100(b *testing.B) {
	log := openBench(b)
	if err := fill(log, 100*streams); err != nil {
		b.Fatal(err)
	}
	q := driver.Query{Items: []driver.Item{{Streams: streamNames[77:78]}}}
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if err := readAll(log, q, 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	const events = 200_000
	log := openBench(b)
	if err := fill(log, events); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if err := readAll(log, driver.Query{}, events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkUpdate(b *testing.B) {
	const writers = 64
	log := openBench(b)
	db := annals.New(log, nil)
	ids, err := createItems(db, writers)
	if err != nil {
		b.Fatal(err)
	}
	turns := make(chan int, writers)
	b.ReportAllocs()
	cpu(b)
	b.ResetTimer()
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			for n := range turns {
				_, err := items.Update(context.Background(), db, ids[w][n%perWriter], func(i *item) error { return i.sell(1) })
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for n := range b.N {
		turns <- n
	}
	close(turns)
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad1000(b *testing.B) {
	log := openBench(b)
	if err := fillEntities(log, 1, 1000); err != nil {
		b.Fatal(err)
	}
	db := annals.New(log, &annals.Options{CacheEntities: -1, NoSnapshots: true})
	b.ReportAllocs()
	cpu(b)
	for b.Loop() {
		if _, err := items.Load(db.View(context.Background()), entityID(0)); err != nil {
			b.Fatal(err)
		}
	}
}
