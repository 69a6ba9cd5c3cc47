package annals_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/annals-db/annals"
)

// Benchmarks of the model over a store that costs little; those of the whole
// are in bench/.

func BenchmarkUpdateCached(b *testing.B) {
	db, _ := open(b, nil)
	for n := range 256 {
		create(b, db, fmt.Sprint(n), "A", 0)
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint(next.Add(1) % 256)
		for pb.Next() {
			if _, err := Items.Update(b.Context(), db, id, func(i *Item) error { return i.Increase(1) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLoad1000(b *testing.B) {
	db, _ := open(b, &annals.Options{CacheEntities: -1})
	create(b, db, "a", "A", 0)
	for range 999 {
		_, err := Items.Update(b.Context(), db, "a", func(i *Item) error { return i.Increase(1) })
		must(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Items.Load(db.View(b.Context()), "a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecision(b *testing.B) {
	db, _ := open(b, nil)
	var next atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		course := fmt.Sprint("c", next.Add(1))
		for pb.Next() {
			_, err := db.Update(b.Context(), func(tx *annals.Tx) error {
				if _, err := SeatsOf.Fold(tx, "course:"+course); err != nil {
					return err
				}
				return tx.Append(Enrolled{course, "s"})
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
