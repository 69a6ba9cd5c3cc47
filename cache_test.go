package annals_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// Doc is a state with everything that a careless copy would share.
type Doc struct {
	annals.Entity
	Words  []string
	Counts map[string]int
	Last   *DocWord
	secret []string
}

type DocWord struct{ Word string }

var docs = annals.NewModel("doc",
	annals.Init(func(d *Doc) { d.Counts = map[string]int{} }),
	annals.On(func(d *Doc, e DocWord) {
		d.Words = append(d.Words, e.Word)
		d.secret = append(d.secret, e.Word)
		d.Counts[e.Word]++
		d.Last = &e
	}),
)

func addWord(db *annals.DB, id, word string) error {
	_, err := db.Update(context.Background(), func(tx *annals.Tx) error {
		d, err := docs.Load(tx, id)
		if errors.Is(err, annals.ErrNotFound) {
			d, err = docs.Create(tx, id)
		}
		if err != nil {
			return err
		}
		return d.Record(DocWord{word})
	})
	return err
}

func TestCache(t *testing.T) {
	t.Run("never shares a mutable object", func(t *testing.T) {
		db, _ := open(t, nil)
		must(t, addWord(db, "1", "one"))
		vandal, err := docs.Load(db.View(t.Context()), "1")
		must(t, err)
		vandal.Words[0], vandal.Counts["one"], vandal.Last.Word, vandal.secret[0] = "x", 99, "x", "x"
		_ = append(vandal.Words, "y")
		_, err = db.Update(t.Context(), func(tx *annals.Tx) error {
			d, err := docs.Load(tx, "1")
			must(t, err)
			d.Words[0], d.Counts["one"] = "z", 77
			return errors.New("no")
		})
		fails(t, err, "no")
		d, err := docs.Load(db.View(t.Context()), "1")
		must(t, err)
		equal(t, "state", fmt.Sprint(d.Words, d.Counts, d.Last.Word, d.secret), "[one] map[one:1]one[one]")
	})
	t.Run("shares nothing with what was just recorded either", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "1", "One", 1)
		quantity(t, db.View(t.Context()), "1") // into the cache
		var vandal *Item
		labels := []string{"red"}
		_, err := Items.Update(t.Context(), db, "1", func(i *Item) error { vandal = i; return i.Record(ItemLabelled{labels}) })
		must(t, err)
		vandal.Seen[0], labels[0] = "x", "y"
		i, err := Items.Load(db.View(t.Context()), "1")
		must(t, err)
		equal(t, "label", fmt.Sprint(i.Seen), "[red]")
	})
	t.Run("an update of a cached entity reads nothing", func(t *testing.T) {
		_, log := open(t, nil)
		counter := &counting{Log: log, Stater: log}
		db := annals.New(&versioned{counter, log}, nil)
		create(t, db, "1", "One", 1)
		for range 10 {
			change(t, db, "1", 1)
			equal(t, "quantity", quantity(t, db.View(t.Context()), "1"), quantity(t, annals.New(log, nil).View(t.Context()), "1"))
		}
		equal(t, "records read", counter.records, 1)
		change(t, annals.New(log, nil), "1", 100) // by another process, as it were
		equal(t, "quantity", quantity(t, db.View(t.Context()), "1"), 111)
		equal(t, "records read", counter.records, 2)
	})
	t.Run("never changes an answer, whoever writes", func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		log := memstore.New(nil)
		dbs := []*annals.DB{annals.New(log, nil), annals.New(log, nil), annals.New(log, &annals.Options{CacheEntities: 1}), annals.New(log, &annals.Options{CacheEntities: -1})}
		for range 300 {
			id := fmt.Sprint(rnd.IntN(5))
			must(t, addWord(dbs[rnd.IntN(len(dbs))], id, fmt.Sprint(rnd.IntN(20))))
			course := fmt.Sprint(rnd.IntN(4))
			_, err := dbs[rnd.IntN(len(dbs))].Update(t.Context(), func(tx *annals.Tx) error {
				seats, err := SeatsOf.Fold(tx, "course:"+course)
				if err != nil || seats.Taken >= 30 {
					return err
				}
				return tx.Append(Enrolled{course, fmt.Sprint(rnd.Uint64())})
			})
			must(t, err)
			p := annals.Position(rnd.IntN(int(head(t, dbs[0])))) + 1
			var want string
			for i := len(dbs) - 1; i >= 0; i-- {
				got := ""
				if d, err := docs.Load(dbs[i].View(t.Context()).At(p), id); err == nil {
					got = fmt.Sprint(d.Version(), d.Words, d.Counts, d.Last.Word)
				} else if !errors.Is(err, annals.ErrNotFound) {
					t.Fatal(err)
				}
				seats, err := SeatsOf.Fold(dbs[i].View(t.Context()).At(p), "course:"+course)
				must(t, err)
				got += fmt.Sprint(" seats ", seats.Taken)
				if i == len(dbs)-1 {
					want = got
				}
				equal(t, fmt.Sprintf("db %d at %d", i, p), got, want)
			}
		}
	})
	t.Run("two entities of a transaction are from one position", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 100)
		create(t, db, "b", "B", 100)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
						x, errX := Items.Load(tx, []string{"a", "b"}[n%2])
						y, errY := Items.Load(tx, []string{"b", "a"}[n%2])
						if err := errors.Join(errX, errY); err != nil {
							return err
						}
						if x.Quantity+y.Quantity != 200 {
							t.Errorf("saw %d + %d", x.Quantity, y.Quantity)
						}
						return errors.Join(x.Record(QuantityDecreased{1}), y.Increase(1))
					})
					var conflict *annals.ConflictError
					if err != nil && !errors.As(err, &conflict) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestAHotEntityServesEveryone(t *testing.T) {
	db, _ := open(t, &annals.Options{Attempts: 20})
	create(t, db, "hot", "Hot", 0)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				if _, err := Items.Update(t.Context(), db, "hot", func(i *Item) error { return i.Increase(1) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	equal(t, "quantity", quantity(t, db.View(t.Context()), "hot"), 640)
}

func TestAnUpdateWithinAnotherIsNotHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := annals.New(memstore.New(nil), &annals.Options{Attempts: 3})
		create(t, db, "a", "A", 1)
		runs := 0
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			if runs++; runs <= 2 { // the second time the outer one holds the gate that the inner one waits for
				change(t, db, "a", 1)
			}
			return i.Increase(10)
		})
		must(t, err)
		equal(t, "quantity", quantity(t, db.View(t.Context()), "a"), 13)
	})
}

type Tally struct {
	annals.Entity
	Sum map[string]int
}

var tallies = annals.NewModel("tally",
	annals.Init(func(s *Tally) { s.Sum = map[string]int{} }),
	annals.On(func(s *Tally, e DocWord) { s.Sum[e.Word]++ }),
).Snapshots(10, "v1")

func TestSnapshots(t *testing.T) {
	fill := func(t *testing.T, db *annals.DB, n int) {
		for i := range n {
			_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
				s, err := tallies.Load(tx, "x")
				if errors.Is(err, annals.ErrNotFound) {
					s, err = tallies.Create(tx, "x")
				}
				if err != nil {
					return err
				}
				return s.Record(DocWord{fmt.Sprint(i % 3)})
			})
			must(t, err)
		}
	}
	keys := func(t *testing.T, log *memstore.Store) []string {
		var out []string
		for k, err := range log.State().Keys(t.Context(), "snapshot/") {
			must(t, err)
			out = append(out, k)
		}
		return out
	}
	load := func(t *testing.T, log driver.Log, opts *annals.Options) string {
		s, err := tallies.Load(annals.New(log, opts).View(t.Context()), "x")
		must(t, err)
		return fmt.Sprint(s.Version(), s.Sum)
	}
	db, log := open(t, nil)
	fill(t, db, 25)
	want := load(t, log, &annals.Options{NoSnapshots: true})

	t.Run("one is kept when a multiple is crossed", func(t *testing.T) {
		equal(t, "keys", strings.Join(keys(t, log), " "), "snapshot/tally/v1/tally-x")
	})
	t.Run("it is used: less is read", func(t *testing.T) {
		counter := &counting{Log: log, Stater: log}
		equal(t, "state", load(t, counter, nil), want)
		if counter.records > 8 {
			t.Fatalf("%d records read behind a snapshot at version 20 of 25", counter.records)
		}
	})
	t.Run("a damaged, alien or wrong one changes no answer", func(t *testing.T) {
		key := keys(t, log)[0]
		good, _, err := log.State().Load(t.Context(), key)
		must(t, err)
		for name, bad := range map[string]string{
			"damaged":           "{",
			"another log":       strings.Replace(string(good), `"log":"`+string(good[8:16]), `"log":"00000000`, 1),
			"another event":     strings.Replace(string(good), `"position":20`, `"position":19`, 1),
			"beyond the head":   strings.Replace(string(good), `"position":20`, `"position":999`, 1),
			"not the state":     strings.Replace(string(good), `"state":{`, `"state":[],"x":{`, 1),
			"another's version": strings.Replace(string(good), `"version":20`, `"version":21`, 1),
		} {
			if bad == string(good) {
				t.Fatalf("%s: the snapshot %s was not changed", name, good)
			}
			_, err := log.State().Save(t.Context(), key, []byte(bad), driver.AnyRevision)
			must(t, err)
			equal(t, name, load(t, log, nil), want)
		}
	})
	t.Run("one that cannot be kept does not fail the append", func(t *testing.T) {
		db := annals.New(&counting{Log: log, Stater: failing{}}, nil)
		fill(t, db, 20)
	})
	t.Run("the caller's hands on the object do not reach it", func(t *testing.T) {
		db, log := open(t, nil)
		_, err := tallies.Add(t.Context(), db, "y", func(s *Tally) error {
			for range 10 {
				must(t, s.Record(DocWord{"w"}))
			}
			s.Sum["forged"] = 1
			return nil
		})
		must(t, err)
		s, err := tallies.Load(annals.New(log, nil).View(t.Context()), "y")
		must(t, err)
		equal(t, "sum", maps.Equal(s.Sum, map[string]int{"w": 10}), true)
	})
}

// counting counts the records read through it.
type counting struct {
	driver.Log
	driver.Stater
	records int
}

func (c *counting) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		for r, err := range c.Log.Read(ctx, q, o) {
			c.records++
			if !yield(r, err) {
				return
			}
		}
	}
}

// versioned is a log that counts what is read and knows versions.
type versioned struct {
	*counting
	driver.Versioner
}

type failing struct{}

func (failing) State() driver.State { return failingState{} }

type failingState struct{ driver.State }

func (failingState) Load(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, driver.ErrNotFound
}

func (failingState) Save(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errors.New("no room")
}
