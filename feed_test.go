package annals_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// Subscriptions that come and go while others write each get what matches
// theirs from where they began, with no gap and no duplicate.
func TestLiveSubscriptionsThatComeAndGo(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { comeAndGo(t, seed) })
	}
}

func comeAndGo(t *testing.T, seed uint64) {
	const writers, each, subscribers = 3, 300, 40
	log := memstore.New(nil)
	db := annals.New(log, nil)
	var written atomic.Bool
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(w)))
			for range each {
				_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: fmt.Sprint("item-", rnd.IntN(5)), Type: "T", Data: []byte("{}")}}})
				if err != nil {
					t.Error(err)
				}
				if rnd.IntN(3) == 0 {
					time.Sleep(time.Duration(rnd.IntN(200)) * time.Microsecond)
				}
			}
		})
	}
	for n := range subscribers {
		rnd := rand.New(rand.NewPCG(seed, 100+uint64(n)))
		q := annals.Query{}
		if k := rnd.IntN(6); k < 5 {
			q = annals.Match(annals.QueryItem{Streams: []string{fmt.Sprint("item-", k)}})
		}
		o := annals.SubscribeOptions{FromHead: rnd.IntN(2) == 0, Progress: rnd.IntN(2) == 0}
		pause := time.Duration(rnd.IntN(3000)) * time.Microsecond
		slow := rnd.IntN(4) == 0
		life := rnd.IntN(200)
		reading.Go(func() {
			time.Sleep(pause)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var got []annals.Position
			begin, end := annals.Position(0), annals.Position(0)
			if o.FromHead {
				o.FromHead = false
				begin = head(t, db)
				o.After = begin
			}
			for n, err := range db.Subscribe(ctx, q, &o) {
				if err != nil {
					t.Errorf("seed %d: ended with %v", seed, err)
					return
				}
				if n.Position > 0 {
					got = append(got, n.Position)
				}
				if n.Scanned < end {
					t.Errorf("seed %d: scanned %d after %d", seed, n.Scanned, end)
				}
				end = n.Scanned
				if len(got) >= life || end == writers*each || written.Load() && n.CaughtUp {
					break
				}
				if slow {
					time.Sleep(50 * time.Microsecond)
				}
			}
			var want []annals.Position
			for r, err := range log.Read(t.Context(), q, driver.ReadOptions{After: begin, UpTo: end}) {
				must(t, err)
				want = append(want, r.Position)
			}
			if begin < end && !slices.Equal(got, want) {
				t.Errorf("seed %d: %s from %d to %d yielded %v, want %v", seed, q, begin, end, got, want)
			}
		})
	}
	writing.Wait()
	written.Store(true)
	for n := range 5 { // wakes those of every stream
		_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: fmt.Sprint("item-", n), Type: "T", Data: []byte("{}")}}})
		must(t, err)
	}
	stop := make(chan struct{})
	go func() { reading.Wait(); close(stop) }()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond): // until each has seen an end
			_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: fmt.Sprint("item-", n%5), Type: "T", Data: []byte("{}")}}})
			must(t, err)
		}
	}
}

// One that stands still misses nothing, however much comes meanwhile.
func TestASubscriptionThatFallsBehindReadsTheLogAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memstore.New(nil)
		db := annals.New(log, nil)
		big := `"` + strings.Repeat("x", 200_000) + `"`
		grow := func() {
			_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: "item-1", Type: "T", Data: []byte(big)}}})
			must(t, err)
		}
		quick := 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for _, err := range db.Subscribe(ctx, annals.Query{}, nil) {
				if err == nil {
					quick++
				}
			}
		}()
		go func() {
			synctest.Wait()
			grow()
		}()
		var got []annals.Position
		for n, err := range db.Subscribe(ctx, annals.Query{}, &annals.SubscribeOptions{FromHead: true}) {
			must(t, err)
			if got = append(got, n.Position); n.Position == 1 {
				for range 100 { // five times the window
					grow()
				}
				synctest.Wait()
				equal(t, "the quick one has", quick, 101)
			}
			if n.Position == 101 {
				break
			}
		}
		cancel()
		for i, p := range got {
			equal(t, "position", p, annals.Position(i+1))
		}
		equal(t, "records", len(got), 101)
	})
}

// hiccup is a log of which one read fails.
type hiccup struct {
	driver.Log
	fail atomic.Bool
}

func (h *hiccup) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if h.fail.Swap(false) {
		return func(yield func(driver.Record, error) bool) { yield(driver.Record{}, errors.New("hiccup")) }
	}
	return h.Log.Read(ctx, q, o)
}

// What fails for all is tried by each for itself.
func TestAReadForAllThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &hiccup{Log: memstore.New(nil)}
		db := annals.New(log, nil)
		go func() {
			for n := range 3 {
				synctest.Wait()
				log.fail.Store(n == 1)
				_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: "item-1", Type: "T", Data: []byte("{}")}}})
				must(t, err)
			}
		}()
		var got []annals.Position
		for n, err := range db.Subscribe(t.Context(), annals.Query{}, nil) {
			must(t, err)
			if got = append(got, n.Position); len(got) == 3 {
				break
			}
		}
		equal(t, "positions", fmt.Sprint(got), "[1 2 3]")
	})
}

// What nobody wants is not read.
func TestOnlyWhatIsWantedIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &tallied{Log: memstore.New(nil)}
		db := annals.New(log, nil)
		go func() {
			for n := range 50 {
				synctest.Wait()
				_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: fmt.Sprint("item-", n), Type: "T", Data: []byte("{}")}}})
				must(t, err)
			}
		}()
		for n, err := range db.Subscribe(t.Context(), annals.Match(annals.QueryItem{Streams: []string{"item-49"}}), nil) {
			must(t, err)
			equal(t, "position", n.Position, 50)
			break
		}
		equal(t, "records read", log.read.Load(), 1)
	})
}

// tallied counts the records that are read.
type tallied struct {
	driver.Log
	read atomic.Int64
}

func (c *tallied) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		for r, err := range c.Log.Read(ctx, q, o) {
			c.read.Add(1)
			if !yield(r, err) {
				return
			}
		}
	}
}
