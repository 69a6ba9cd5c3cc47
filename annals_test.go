package annals_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// The models of these tests: items in stock, and seats of courses decided by tags.

type Item struct {
	annals.Entity
	Name     string
	Quantity int
	Seen     []string
}

type (
	ItemCreated struct {
		Name     string
		Quantity int
	}
	QuantityIncreased struct{ Amount int }
	QuantityDecreased struct{ Amount int }
	ItemLabelled      struct{ Labels []string }
	Unhandled         struct{ X int }
)

var Items = annals.NewModel("item",
	annals.On(func(i *Item, e ItemCreated) { i.Name, i.Quantity = e.Name, e.Quantity }),
	annals.On(func(i *Item, e QuantityIncreased) { i.Quantity += e.Amount }),
	annals.On(func(i *Item, e QuantityDecreased) { i.Quantity -= e.Amount }),
	annals.On(func(i *Item, e ItemLabelled) { i.Seen = append(i.Seen, e.Labels...) }),
)

func (i *Item) Decrease(n int) error {
	if n > i.Quantity {
		return fmt.Errorf("only %d of %s left", i.Quantity, i.Name)
	}
	return i.Record(QuantityDecreased{n})
}

func (i *Item) Increase(n int) error { return i.Record(QuantityIncreased{n}) }

type Enrolled struct{ Course, Student string }

func (e Enrolled) Tags() []string { return []string{"course:" + e.Course, "student:" + e.Student} }

type Seats struct{ Taken int }

var SeatsOf = annals.NewModel("seats", annals.On(func(s *Seats, e Enrolled) { s.Taken++ }))

func open(t testing.TB, opts *annals.Options) (*annals.DB, *memstore.Store) {
	t.Helper()
	log := memstore.New(nil)
	t.Cleanup(func() { log.Close() })
	return annals.New(log, opts), log
}

func create(t testing.TB, db *annals.DB, id, name string, quantity int) {
	t.Helper()
	_, err := Items.Add(t.Context(), db, id, func(i *Item) error { return i.Record(ItemCreated{name, quantity}) })
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// fails checks that err is there and says each of words.
func fails(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q does not say %q", err, w)
		}
	}
}

func quantity(t testing.TB, r annals.Reader, id string) int {
	t.Helper()
	i, err := Items.Load(r, id)
	must(t, err)
	return i.Quantity
}

func head(t testing.TB, db *annals.DB) annals.Position {
	t.Helper()
	p, err := db.View(t.Context()).Position()
	must(t, err)
	return p
}

func all(t testing.TB, db *annals.DB, q annals.Query) []annals.Record {
	t.Helper()
	var out []annals.Record
	for r, err := range db.View(t.Context()).Read(q) {
		must(t, err)
		out = append(out, r)
	}
	return out
}

func TestUpdate(t *testing.T) {
	t.Run("records are applied at once and appended at commit", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "laptop", "Laptop", 10)
		receipt, err := Items.Update(t.Context(), db, "laptop", func(i *Item) error {
			if err := i.Decrease(3); err != nil {
				return err
			}
			equal(t, "quantity inside", i.Quantity, 7)
			equal(t, "version inside", i.Version(), 2)
			return i.Increase(1)
		})
		must(t, err)
		equal(t, "first", receipt.First, 2)
		equal(t, "last", receipt.Last, 3)
		equal(t, "quantity", quantity(t, db.View(t.Context()), "laptop"), 8)
	})
	t.Run("an error of the function appends nothing", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "laptop", "Laptop", 10)
		boom := errors.New("boom")
		_, err := Items.Update(t.Context(), db, "laptop", func(i *Item) error {
			must(t, i.Decrease(3))
			return boom
		})
		if err != boom {
			t.Fatalf("got %v", err)
		}
		equal(t, "head", head(t, db), 1)
		equal(t, "quantity", quantity(t, db.View(t.Context()), "laptop"), 10)
	})
	t.Run("a function that records nothing appends nothing", func(t *testing.T) {
		db, _ := open(t, nil)
		receipt, err := db.Update(t.Context(), func(*annals.Tx) error { return nil })
		must(t, err)
		equal(t, "first", receipt.First, 0)
	})
	t.Run("two entities are appended as one batch", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 10)
		create(t, db, "b", "B", 0)
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			a, errA := Items.Load(tx, "a")
			b, errB := Items.Load(tx, "b")
			return errors.Join(errA, errB, a.Decrease(4), b.Increase(4))
		})
		must(t, err)
		records := all(t, db, annals.Query{})
		equal(t, "batch", records[3].Batch, records[2].Position)
		equal(t, "conditions kept", len(records[2].Conditions), 2)
	})
	t.Run("one ID loads once", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 10)
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			x, errX := Items.Load(tx, "a")
			y, errY := Items.Load(tx, "a")
			if x != y {
				t.Error("two objects for one ID")
			}
			return errors.Join(errX, errY)
		})
		must(t, err)
	})
	t.Run("only a conflict runs the function again, on newer state", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 10)
		runs := 0
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			if runs++; runs == 1 {
				_, err := Items.Update(t.Context(), db, "a", func(i *Item) error { return i.Decrease(6) })
				must(t, err)
			}
			return i.Decrease(5)
		})
		fails(t, err, "only 4 of A left")
		equal(t, "runs", runs, 2)
		equal(t, "quantity", quantity(t, db.View(t.Context()), "a"), 4)
	})
	t.Run("absence is a condition", func(t *testing.T) {
		db, _ := open(t, nil)
		runs := 0
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			runs++
			_, err := Items.Load(tx, "ghost")
			if err == nil {
				return nil
			}
			if !errors.Is(err, annals.ErrNotFound) {
				return err
			}
			if runs == 1 {
				create(t, db, "ghost", "Ghost", 1)
			}
			return tx.Append(Enrolled{"c1", "s1"})
		})
		must(t, err)
		equal(t, "runs", runs, 2)
		equal(t, "head", head(t, db), 1)
	})
	t.Run("create requires absence", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 1)
		_, err := Items.Add(t.Context(), db, "a", func(i *Item) error { return i.Record(ItemCreated{"A", 1}) })
		if !errors.Is(err, annals.ErrExists) {
			t.Fatalf("got %v", err)
		}
		fails(t, err, `"item-a"`)
	})
	t.Run("retries that run out say how many there were", func(t *testing.T) {
		db, _ := open(t, &annals.Options{Attempts: 3})
		create(t, db, "a", "A", 10)
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			_, err := Items.Update(context.Background(), annals.New(db.Log(), nil), "a", func(i *Item) error { return i.Increase(1) })
			must(t, err)
			return i.Increase(1)
		})
		fails(t, err, "after 3 attempts", `"item-a"`)
		var conflict *annals.ConflictError
		if !errors.As(err, &conflict) {
			t.Fatalf("%v does not wrap a ConflictError", err)
		}
	})
}

func TestRecordRefuses(t *testing.T) {
	db, _ := open(t, nil)
	create(t, db, "a", "A", 10)
	var kept *Item
	t.Run("a failed record dooms the transaction", func(t *testing.T) {
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			kept = i
			must(t, i.Increase(1))
			_ = i.Record(Unhandled{1})
			return nil
		})
		fails(t, err, `"item-a"`, "does not handle", "Unhandled")
		equal(t, "head", head(t, db), 1)
	})
	t.Run("an entity of a finished transaction refuses", func(t *testing.T) {
		fails(t, kept.Increase(1), "has ended")
	})
	t.Run("an entity of a view refuses", func(t *testing.T) {
		i, err := Items.Load(db.View(t.Context()), "a")
		must(t, err)
		fails(t, i.Increase(1), "view")
	})
	t.Run("an entity made by hand refuses", func(t *testing.T) {
		fails(t, new(Item).Increase(1), "not loaded")
	})
	t.Run("a value that would not come back is named", func(t *testing.T) {
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			return i.Record(ItemLabelled{Labels: []string{"ok", "\xff"}})
		})
		fails(t, err, "Labels", "UTF-8")
	})
	t.Run("an event with neither stream nor tags is refused", func(t *testing.T) {
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Unhandled{1}) })
		fails(t, err, "neither a stream nor tags")
	})
	t.Run("what the caller does to an event afterwards does not show", func(t *testing.T) {
		_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
			labels := []string{"red"}
			must(t, i.Record(ItemLabelled{labels}))
			labels[0] = "blue"
			equal(t, "label", i.Seen[0], "red")
			return nil
		})
		must(t, err)
		i, err := Items.Load(db.View(t.Context()), "a")
		must(t, err)
		if !slices.Equal(i.Seen, []string{"red"}) {
			t.Fatalf("got %v", i.Seen)
		}
	})
}

func TestFold(t *testing.T) {
	enrol := func(db *annals.DB, course, student string, between func()) error {
		_, err := db.Update(context.Background(), func(tx *annals.Tx) error {
			seats, err := SeatsOf.Fold(tx, "course:"+course)
			if err != nil {
				return err
			}
			if seats.Taken >= 2 {
				return errors.New("course is full")
			}
			between()
			return tx.Append(Enrolled{course, student})
		})
		return err
	}
	t.Run("the boundary is the types and all the tags", func(t *testing.T) {
		db, _ := open(t, nil)
		runs := 0
		err := enrol(db, "c1", "s1", func() {
			if runs++; runs == 1 {
				must(t, enrol(db, "c2", "s1", func() {})) // another course: no conflict
			}
		})
		must(t, err)
		equal(t, "runs", runs, 1)
		runs = 0
		must(t, enrol(db, "c1", "s2", func() {}))
		fails(t, enrol(db, "c1", "s3", func() {}), "full")
	})
	t.Run("a fold includes what the transaction has recorded", func(t *testing.T) {
		db, _ := open(t, nil)
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			must(t, tx.Append(Enrolled{"c1", "s1"}))
			must(t, tx.Append(Enrolled{"c2", "s1"}))
			seats, err := SeatsOf.Fold(tx, "course:c1")
			must(t, err)
			equal(t, "taken", seats.Taken, 1)
			return nil
		})
		must(t, err)
	})
	t.Run("racing decisions never oversell", func(t *testing.T) {
		db, _ := open(t, nil)
		results := make(chan error)
		for n := range 32 {
			go func() { results <- enrol(db, "c1", fmt.Sprint("s", n), func() {}) }()
		}
		won := 0
		for range 32 {
			if err := <-results; err == nil {
				won++
			} else {
				fails(t, err, "full")
			}
		}
		equal(t, "won", won, 2)
		equal(t, "head", head(t, db), 2)
	})
}
