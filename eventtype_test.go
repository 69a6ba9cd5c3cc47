package annals_test

import (
	"fmt"
	"testing"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/google/uuid"
)

// Person has lived through a rename, an upcaster chain and a split.
type Person struct {
	annals.Entity
	First, Last, Email string
	Moves              int
}

type (
	PersonNamed   struct{ First, Last string }
	EmailChanged  struct{ Email string }
	PersonMoved   struct{ To string }
	personNamedV1 struct{ Name string }
	personNamedV0 struct{ N string }
	personImport  struct{ First, Last, Email string }
)

var (
	_ = annals.Declare[PersonNamed]("person-named.v2", annals.Formerly("PersonCalled"))
	_ = annals.Upcast("person-named.v1", func(o personNamedV1) PersonNamed {
		var n PersonNamed
		fmt.Sscan(o.Name, &n.First, &n.Last)
		return n
	})
	_ = annals.Upcast("person-named.v0", func(o personNamedV0) personNamedV1 { return personNamedV1{Name: o.N} })
	_ = annals.Split("person-imported", func(o personImport) []any {
		return []any{PersonNamed{o.First, o.Last}, EmailChanged{o.Email}}
	}, PersonNamed{}, EmailChanged{})
)

var People = annals.NewModel("person",
	annals.On(func(p *Person, e PersonNamed) { p.First, p.Last = e.First, e.Last }),
	annals.On(func(p *Person, e EmailChanged) { p.Email = e.Email }),
	annals.On(func(p *Person, e PersonMoved) { p.Moves++ }),
)

func raw(t *testing.T, log driver.Log, stream, typ, data string) {
	t.Helper()
	_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: stream, Type: typ, Data: []byte(data)}}})
	must(t, err)
}

func TestOldEvents(t *testing.T) {
	for _, c := range []struct{ name, typ, data, want string }{
		{"under the current name", "person-named.v2", `{"First":"Ada","Last":"Lovelace"}`, "Ada Lovelace "},
		{"under a former name", "PersonCalled", `{"First":"Ada","Last":"Lovelace"}`, "Ada Lovelace "},
		{"through an upcaster", "person-named.v1", `{"Name":"Ada Lovelace"}`, "Ada Lovelace "},
		{"through a chain of upcasters", "person-named.v0", `{"N":"Ada Lovelace"}`, "Ada Lovelace "},
		{"split into several", "person-imported", `{"First":"Ada","Last":"Lovelace","Email":"a@b.c"}`, "Ada Lovelace a@b.c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, log := open(t, nil)
			raw(t, log, "person-1", c.typ, c.data)
			p, err := People.Load(db.View(t.Context()), "1")
			must(t, err)
			equal(t, "person", p.First+" "+p.Last+" "+p.Email, c.want)
		})
	}
	t.Run("a former name is within the boundary of a fold", func(t *testing.T) {
		db, log := open(t, nil)
		runs := 0
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			if _, err := People.Fold(tx); err != nil {
				return err
			}
			if runs++; runs == 1 {
				raw(t, log, "person-2", "person-imported", `{"First":"A","Last":"B","Email":"c"}`)
			}
			return tx.Append(Enrolled{"c", "s"})
		})
		must(t, err)
		equal(t, "runs", runs, 2)
	})
	t.Run("an event that no model knows is passed over, or an error when strict", func(t *testing.T) {
		db, log := open(t, nil)
		raw(t, log, "person-1", "person-moved.v9", `{}`)
		raw(t, log, "person-1", "PersonMoved", `{"To":"x"}`)
		p, err := People.Load(db.View(t.Context()), "1")
		must(t, err)
		equal(t, "moves", p.Moves, 1)
		equal(t, "version", p.Version(), 2)
		strict := annals.NewModel("person", annals.On(func(*Person, PersonMoved) {})).Strict()
		_, err = strict.Load(db.View(t.Context()), "1")
		fails(t, err, "position 1", `"person-moved.v9"`, `"person"`)
	})
	t.Run("a payload that does not decode names the position", func(t *testing.T) {
		db, log := open(t, nil)
		raw(t, log, "person-1", "PersonMoved", `{"To":7}`)
		_, err := People.Load(db.View(t.Context()), "1")
		fails(t, err, `"person-1"`, "position 1", `"PersonMoved"`)
	})
	t.Run("decode gives what a record stands for", func(t *testing.T) {
		db, log := open(t, nil)
		raw(t, log, "person-1", "person-imported", `{"First":"A","Last":"B","Email":"c"}`)
		raw(t, log, "person-1", "nobody-knows", `{}`)
		records := all(t, db, annals.Query{})
		events, err := db.Decode(records[0])
		must(t, err)
		equal(t, "events", fmt.Sprint(events), "[{A B} {c}]")
		_, err = db.Decode(records[1])
		fails(t, err, "nobody-knows", "not found")
	})
}

type duplicate struct{ A int }

func TestDeclarationsThatContradict(t *testing.T) {
	panics := func(t *testing.T, word string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			fails(t, fmt.Errorf("%v", recover()), word)
		}()
		f()
	}
	t.Run("two types under one name", func(t *testing.T) {
		panics(t, "two Go types", func() { annals.Declare[duplicate]("person-named.v2") })
	})
	t.Run("two types of one Go name met in models", func(t *testing.T) {
		type EmailChanged struct{ Other int }
		type S struct{ N int }
		m := annals.NewModel("clash", annals.On(func(s *S, e EmailChanged) {}))
		db, _ := open(t, nil)
		_, err := People.Fold(db.View(t.Context()))
		must(t, err)
		_, err = m.Fold(db.View(t.Context()))
		fails(t, err, "two Go types", `"EmailChanged"`, "Declare")
	})
	t.Run("a type that cannot come back equal", func(t *testing.T) {
		type Bad struct{ F func() }
		panics(t, "F", func() { annals.NewModel("bad", annals.On(func(*Item, Bad) {})) })
	})
	t.Run("a handler given twice", func(t *testing.T) {
		panics(t, "twice", func() {
			annals.NewModel("twice", annals.On(func(*Item, PersonMoved) {}), annals.On(func(*Item, PersonMoved) {}))
		})
	})
	t.Run("a category with a dash", func(t *testing.T) {
		panics(t, "dash", func() { annals.NewModel[Item]("a-b") })
	})
}

func TestNames(t *testing.T) {
	names, err := annals.Names[PersonNamed]()
	must(t, err)
	equal(t, "names", fmt.Sprint(names), "[PersonCalled person-imported person-named.v0 person-named.v1 person-named.v2]")
	if _, err := annals.Names[personNamedV1](); err == nil {
		t.Error("an old form of an event has names")
	}
}
