package annals_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

func TestOnce(t *testing.T) {
	t.Run("a known key returns its first receipt without running", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 10)
		runs := 0
		pay := func() (annals.Receipt, error) {
			return Items.Update(t.Context(), db, "a", func(i *Item) error {
				runs++
				return errors.Join(i.Decrease(1), i.Decrease(1))
			}, annals.Once("order-7"))
		}
		first, err := pay()
		must(t, err)
		again, err := pay()
		must(t, err)
		equal(t, "runs", runs, 1)
		equal(t, "repeated", again.Repeated, true)
		equal(t, "receipt", fmt.Sprint(again.First, again.Last, again.Versions, again.Time), fmt.Sprint(first.First, first.Last, first.Versions, first.Time))
		equal(t, "quantity", quantity(t, db.View(t.Context()), "a"), 8)
	})
	t.Run("of racing updates with one key one takes effect", func(t *testing.T) {
		db, _ := open(t, nil)
		for n := range 16 {
			create(t, db, fmt.Sprint(n), "A", 10)
		}
		var wg sync.WaitGroup
		for n := range 16 {
			wg.Go(func() { // different entities, so that only the key makes them collide
				_, err := Items.Update(t.Context(), db, fmt.Sprint(n), func(i *Item) error { return i.Decrease(1) }, annals.Once("k"))
				must(t, err)
			})
		}
		wg.Wait()
		equal(t, "head", head(t, db), 17)
	})
}

func TestNamedIDs(t *testing.T) {
	equal(t, "equal names", annals.NameID("a", "b"), annals.NameID("a", "b"))
	if annals.NameID("ab", "c") == annals.NameID("a", "bc") {
		t.Fatal("names run into each other")
	}
	db, _ := open(t, nil)
	create(t, db, "a", "A", 10)
	id := annals.NameID("booking", "7")
	_, err := Items.Update(t.Context(), db, "a", func(i *Item) error { return i.Record(QuantityIncreased{1}, annals.WithID(id)) })
	must(t, err)
	_, err = Items.Update(t.Context(), db, "a", func(i *Item) error { return i.Record(QuantityIncreased{2}, annals.WithID(id)) })
	fails(t, err, id.String(), "position 2")
	receipt, err := Items.Update(t.Context(), db, "a", func(i *Item) error { return i.Record(QuantityIncreased{1}, annals.WithID(id)) })
	must(t, err)
	equal(t, "repeated", receipt.Repeated, true)
	equal(t, "head", head(t, db), 2)
}

// lossy loses the answers to the first appends: the batch is in the log and
// the caller is told that nothing is known.
type lossy struct {
	driver.Log
	mu      sync.Mutex
	lose    int
	swallow bool // does not even append
	appends int
}

func (l *lossy) Append(ctx context.Context, b driver.Batch) (driver.Receipt, error) {
	l.mu.Lock()
	l.appends++
	lose := l.lose > 0
	l.lose--
	l.mu.Unlock()
	if lose {
		if !l.swallow {
			if r, err := l.Log.Append(ctx, b); err != nil {
				return r, err
			}
		}
		return driver.Receipt{}, fmt.Errorf("connection lost: %w", driver.ErrOutcomeUnknown)
	}
	return l.Log.Append(ctx, b)
}

func TestUnknownOutcome(t *testing.T) {
	setUp := func(t *testing.T, l *lossy) *annals.DB {
		db, log := open(t, nil)
		create(t, db, "a", "A", 10)
		l.Log = log
		return annals.New(l, &annals.Options{ResolveTimeout: 200 * time.Millisecond})
	}
	for _, swallow := range []bool{false, true} {
		t.Run(fmt.Sprintf("is decided by sending the same batch again, swallowed: %v", swallow), func(t *testing.T) {
			l := &lossy{lose: 3, swallow: swallow}
			db, runs := setUp(t, l), 0
			receipt, err := Items.Update(t.Context(), db, "a", func(i *Item) error { runs++; return i.Decrease(1) })
			must(t, err)
			equal(t, "runs", runs, 1)
			equal(t, "position", receipt.First, 2)
			equal(t, "appends", l.appends, 4)
			equal(t, "quantity", quantity(t, db.View(t.Context()), "a"), 9)
		})
	}
	t.Run("that stays unknown names the IDs", func(t *testing.T) {
		l := &lossy{lose: 1 << 30}
		db := setUp(t, l)
		var id annals.ID
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			id = annals.NewID()
			return i.Record(QuantityIncreased{1}, annals.WithID(id))
		})
		if !errors.Is(err, annals.ErrOutcomeUnknown) {
			t.Fatalf("got %v", err)
		}
		fails(t, err, id.String())
	})
}

// broken fails reads after a number of records.
type broken struct {
	driver.Log
	after int
}

func (l *broken) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		n := 0
		for r, err := range l.Log.Read(ctx, q, o) {
			if n++; n > l.after {
				yield(driver.Record{}, errors.New("disk on fire"))
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestAReadThatFailsIsNotTheEnd(t *testing.T) {
	db, log := open(t, nil)
	create(t, db, "a", "A", 10)
	change(t, db, "a", 5)
	b := annals.New(&broken{log, 1}, nil)
	_, err := Items.Load(b.View(t.Context()), "a")
	fails(t, err, `"item-a"`, "disk on fire")
	_, err = Items.Update(t.Context(), b, "a", func(i *Item) error { return i.Decrease(1) })
	fails(t, err, "disk on fire")
	equal(t, "head", head(t, db), 2)
}
