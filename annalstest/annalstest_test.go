package annalstest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
)

// Items in stock are decided by one entity, seats of courses by tags.

type Item struct {
	annals.Entity
	Name     string
	Quantity int
	Moved    time.Time
}

type (
	ItemCreated struct {
		Name     string
		Quantity int
	}
	QuantityDecreased struct{ Amount int }
	Moved             struct{ At time.Time }
	Labelled          struct{ Label *string }
)

var Items = annals.NewModel("item",
	annals.On(func(i *Item, e ItemCreated) { i.Name, i.Quantity = e.Name, e.Quantity }),
	annals.On(func(i *Item, e QuantityDecreased) { i.Quantity -= e.Amount }),
	annals.OnEnvelope(func(i *Item, e Moved, env annals.Envelope) { i.Moved = env.Occurred }),
	annals.On(func(*Item, Labelled) {}),
)

var errShort = errors.New("not enough left")

func decrease(n int) func(*Item) error {
	return func(i *Item) error {
		if n > i.Quantity {
			return fmt.Errorf("%s: %w", i.Name, errShort)
		}
		return i.Record(QuantityDecreased{n})
	}
}

type Enrolled struct{ Course, Student string }

func (e Enrolled) Tags() []string { return []string{"course:" + e.Course, "student:" + e.Student} }

type Seats struct{ Taken int }

var SeatsOf = annals.NewModel("seats", annals.On(func(s *Seats, e Enrolled) { s.Taken++ }))

// enrol folds over tags; without tags its boundary is every enrolment.
func enrol(course, student string, tags ...string) func(*annals.Tx) error {
	return func(tx *annals.Tx) error {
		seats, err := SeatsOf.Fold(tx, tags...)
		if err != nil {
			return err
		}
		if seats.Taken >= 2 {
			return errors.New("the course is full")
		}
		return tx.Append(Enrolled{course, student})
	}
}

type itemNamed struct{ Label string }

var _ = annals.Upcast("ItemNamed", func(old itemNamed) ItemCreated { return ItemCreated{Name: old.Label, Quantity: 1} })

var laptop = annalstest.In("item-laptop", ItemCreated{"Laptop", 10})

// recorder is a testing.TB that notes failures.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()                           {}
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool                      { return len(r.failures) > 0 }
func (r *recorder) Error(args ...any)                 { r.failures = append(r.failures, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); panic(r) }

// record runs f with a recorder and returns what failed.
func record(t *testing.T, f func(t testing.TB)) (failures []string) {
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		for _, c := range r.cleanups {
			c()
		}
		failures = r.failures
	}()
	f(r)
	return
}

func TestPasses(t *testing.T) {
	t.Run("an event of an entity", func(t *testing.T) {
		r := annalstest.New(t, nil).Given(laptop).
			When(annalstest.Update(Items, "laptop", decrease(3))).
			Then(annalstest.In("item-laptop", QuantityDecreased{3}))
		annalstest.State(r, Items, "laptop", Item{Name: "Laptop", Quantity: 7})
	})
	t.Run("a new entity", func(t *testing.T) {
		annalstest.New(t, nil).
			When(annalstest.Add(Items, "laptop", func(i *Item) error { return i.Record(ItemCreated{"Laptop", 10}) })).
			Then(laptop)
	})
	t.Run("a decision by tags", func(t *testing.T) {
		r := annalstest.New(t, nil).
			Given(Enrolled{"c1", "s1"}).Beside(Enrolled{"c2", "s1"}, Enrolled{"c2", "s2"}).
			When(enrol("c1", "s2", "course:c1")).
			Then(Enrolled{"c1", "s2"})
		annalstest.Fold(r, SeatsOf, Seats{2}, "course:c1")
	})
	t.Run("an error", func(t *testing.T) {
		annalstest.New(t, nil).Given(laptop).
			When(annalstest.Update(Items, "laptop", decrease(11))).
			ThenError(errShort).ThenErrorSays("Laptop", "not enough")
	})
	t.Run("an error that names a position, which noise moves", func(t *testing.T) {
		annalstest.New(t, nil).Given(laptop).
			When(annalstest.Add(Items, "laptop", decrease(1))).ThenError(annals.ErrExists)
	})
	t.Run("nothing recorded", func(t *testing.T) {
		annalstest.New(t, nil).Given(laptop).
			When(annalstest.Update(Items, "laptop", func(*Item) error { return nil })).Then()
	})
	t.Run("an event of an old type", func(t *testing.T) {
		annalstest.New(t, nil).
			Given(annalstest.In("item-pen", annalstest.Stored{Type: "ItemNamed", Data: `{"Label":"Pen"}`})).
			When(annalstest.Update(Items, "pen", decrease(1))).
			Then(annalstest.In("item-pen", QuantityDecreased{1}))
	})
	t.Run("an event with a pointer", func(t *testing.T) {
		a, b := "red", "red"
		annalstest.New(t, nil).
			When(annalstest.Add(Items, "pen", func(i *Item) error { return i.Record(Labelled{&a}) })).
			Then(annalstest.In("item-pen", Labelled{&b}))
	})
	t.Run("a decision that draws an ID", func(t *testing.T) {
		annalstest.New(t, nil).
			When(annalstest.Add(Items, "x", func(i *Item) error { return i.Record(ItemCreated{Name: annals.NewID().String()}) })).
			View()
	})
	t.Run("a decision on every event of a type", func(t *testing.T) {
		annalstest.New(t, &annalstest.Options{Noise: annalstest.OtherTypes}).
			Given(Enrolled{"c1", "s1"}).When(enrol("c1", "s2")).Then(Enrolled{"c1", "s2"})
	})
}

func TestClock(t *testing.T) {
	later := annalstest.Start.Add(48 * time.Hour)
	past := annalstest.Start.Add(-time.Hour)
	r := annalstest.New(t, nil).Given(laptop).Later(48*time.Hour).
		When(func(tx *annals.Tx) error {
			i, err := Items.Load(tx, "laptop")
			if err != nil {
				return err
			}
			return errors.Join(i.Record(Moved{tx.Now()}), i.Record(Moved{later}, annals.At(past)))
		}).
		Then(annalstest.In("item-laptop", Moved{later}).With(annals.At(later)),
			annalstest.In("item-laptop", Moved{later}).With(annals.At(past)))
	annalstest.State(r, Items, "laptop", Item{Name: "Laptop", Quantity: 10, Moved: past})
	if i, err := Items.Load(r.View().AsOf(later.Add(-1)), "laptop"); err != nil || i.Version() != 1 {
		t.Errorf("before it moved: %+v, %v", i, err)
	}
	c := annalstest.NewClock(past)
	c.Advance(time.Hour)
	if !c.Now().Equal(annalstest.Start) {
		t.Errorf("an hour later it is %v", c.Now())
	}
	c.Set(past)
	if !c.Now().Equal(past) {
		t.Errorf("set back it is %v", c.Now())
	}
}

func TestFails(t *testing.T) {
	decide := annalstest.Update(Items, "laptop", decrease(3))
	for _, c := range []struct {
		name string
		run  func(t testing.TB)
		says []string
	}{
		{"another value", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).Then(annalstest.In("item-laptop", QuantityDecreased{4}))
		}, []string{`- "item-laptop" annalstest_test.QuantityDecreased{Amount:4}`, `+ "item-laptop" annalstest_test.QuantityDecreased{Amount:3}`}},
		{"another stream", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).Then(annalstest.In("item-pen", QuantityDecreased{3}))
		}, []string{`- "item-pen"`, `+ "item-laptop"`}},
		{"other tags", func(t testing.TB) {
			annalstest.New(t, nil).When(enrol("c1", "s1", "course:c1")).Then(annalstest.In("", Enrolled{"c1", "s1"}).With(annals.WithTags("extra:1")))
		}, []string{"tagged course:c1, student:s1, extra:1"}},
		{"another time of occurrence", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).
				Then(annalstest.In("item-laptop", QuantityDecreased{3}).With(annals.At(annalstest.Start.Add(time.Hour))))
		}, []string{"- ", "occurred 2026-01-01T13:00:00Z", "+ ", "occurred 2026-01-01T12:00:00Z"}},
		{"another ID", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).
				Then(annalstest.In("item-laptop", QuantityDecreased{3}).With(annals.WithID(annals.NameID("x"))))
		}, []string{"with ID " + annals.NameID("x").String()}},
		{"another value behind a pointer", func(t testing.TB) {
			a, b := "red", "blue"
			annalstest.New(t, nil).
				When(annalstest.Add(Items, "pen", func(i *Item) error { return i.Record(Labelled{&a}) })).
				Then(annalstest.In("item-pen", Labelled{&b}))
		}, []string{`- "item-pen" annalstest_test.Labelled{"Label":"blue"}`, `+ "item-pen" annalstest_test.Labelled{"Label":"red"}`}},
		{"an event too many", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).Then()
		}, []string{"+ ", "Amount:3"}},
		{"an event missing", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).Then(annalstest.In("item-laptop", QuantityDecreased{3}, QuantityDecreased{1}))
		}, []string{"- ", "Amount:1"}},
		{"an error where events are wanted", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(annalstest.Update(Items, "laptop", decrease(11))).Then()
		}, []string{"the decision failed", "not enough left"}},
		{"events where an error is wanted", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).ThenError(errShort)
		}, []string{`want the error "not enough left"`, "Amount:3"}},
		{"another error", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(annalstest.Update(Items, "laptop", decrease(11))).ThenError(annals.ErrNotFound)
		}, []string{"want the error", "not enough left"}},
		{"an error that says something else", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(annalstest.Update(Items, "laptop", decrease(11))).ThenErrorSays("Desktop")
		}, []string{`says "Desktop"`, "Laptop"}},
		{"any error where there is none", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide).ThenErrorSays()
		}, []string{"want an error"}},
		{"another state", func(t testing.TB) {
			annalstest.State(annalstest.New(t, nil).Given(laptop).When(decide), Items, "laptop", Item{Name: "Laptop", Quantity: 8})
		}, []string{"the state of item-laptop", "- {Name:Laptop Quantity:8", "+ {Name:Laptop Quantity:7"}},
		{"another fold", func(t testing.TB) {
			annalstest.Fold(annalstest.New(t, nil).When(enrol("c1", "s1", "course:c1")), SeatsOf, Seats{2}, "course:c1")
		}, []string{"- {Taken:2}", "+ {Taken:1}"}},
		{"a state of what does not exist", func(t testing.TB) {
			annalstest.State(annalstest.New(t, nil).Given(laptop).When(decide), Items, "pen", Item{})
		}, []string{"item-pen", "not found"}},
		{"nothing checked", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop).When(decide)
		}, []string{"nothing is checked"}},
		{"a second decision", func(t testing.TB) {
			s := annalstest.New(t, nil).Given(laptop)
			s.When(decide).Then(annalstest.In("item-laptop", QuantityDecreased{3}))
			s.When(decide)
		}, []string{"for one decision"}},
		{"given what cannot be recorded", func(t testing.TB) {
			annalstest.New(t, nil).Given(ItemCreated{}).When(decide)
		}, []string{"given annalstest_test.ItemCreated", "neither a stream nor tags"}},
		{"given an entity that the decision does not read", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop, annalstest.In("item-pen", ItemCreated{"Pen", 1})).
				When(decide).Then(annalstest.In("item-laptop", QuantityDecreased{3}))
		}, []string{`given "item-pen" ItemCreated{"Name":"Pen","Quantity":1} lies outside`, "item-laptop", "Beside"}},
		{"given tags that the decision does not read", func(t testing.TB) {
			annalstest.New(t, nil).Given(Enrolled{"c2", "s1"}).When(enrol("c1", "s1", "course:c1")).Then(Enrolled{"c1", "s1"})
		}, []string{"lies outside", "tagged course:c2, student:s1", "course:c1"}},
		{"given what a decision that fails does not read", func(t testing.TB) {
			annalstest.New(t, nil).Given(laptop, annalstest.In("item-pen", ItemCreated{"Pen", 1})).
				When(annalstest.Update(Items, "laptop", decrease(11))).ThenError(errShort)
		}, []string{"lies outside", "item-pen"}},
		{"a boundary that is too wide conflicts", func(t testing.TB) {
			annalstest.New(t, nil).When(func(tx *annals.Tx) error {
				for range tx.Read(annals.Query{}) {
				}
				return tx.Append(Enrolled{"c1", "s1"})
			}).Then(Enrolled{"c1", "s1"})
		}, []string{"conflicts with events of other streams and tags", "seed 1"}},
		{"a decision that records more each time", func(t testing.TB) {
			n := 0
			annalstest.New(t, nil).When(func(tx *annals.Tx) error {
				n++
				for range n {
					if err := tx.Append(Enrolled{"c1", "s1"}); err != nil {
						return err
					}
				}
				return nil
			}).View()
		}, []string{"is another one"}},
		{"noise changes what an error says", func(t testing.TB) {
			annalstest.New(t, nil).Given(Enrolled{"c1", "s1"}).When(func(tx *annals.Tx) error {
				seats, err := SeatsOf.Fold(tx)
				return errors.Join(err, fmt.Errorf("%d taken", seats.Taken))
			}).ThenErrorSays("1 taken")
		}, []string{"- error: 1 taken", "+ error: "}},
		{"noise changes the outcome", func(t testing.TB) {
			annalstest.New(t, nil).Given(Enrolled{"c1", "s1"}).When(enrol("c1", "s2")).Then(Enrolled{"c1", "s2"})
		}, []string{"- annalstest_test.Enrolled{Course:c1 Student:s2}", "+ error: the course is full"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			failures := record(t, c.run)
			if len(failures) != 1 {
				t.Fatalf("%d failures, want one: %q", len(failures), failures)
			}
			for _, want := range c.says {
				if !strings.Contains(failures[0], want) {
					t.Errorf("it does not say %q:\n%s", want, failures[0])
				}
			}
		})
	}
}
