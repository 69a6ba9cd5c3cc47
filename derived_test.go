package annals_test

import (
	"errors"
	"testing"

	"github.com/annals-db/annals"
)

func TestDerivedIDsAndTags(t *testing.T) {
	tag := annals.Match(annals.QueryItem{Tags: []string{"by:me"}})
	effect := func(db *annals.DB, n int) (annals.Receipt, error) {
		return db.Update(t.Context(), func(tx *annals.Tx) error {
			if _, found, err := tx.Last(tag); found || err != nil {
				return err
			}
			i, err := Items.Load(tx, "a")
			if err != nil {
				return err
			}
			return errors.Join(i.Increase(n), tx.Append(Enrolled{"c", "s"}))
		}, annals.Derived("effect", "1"), annals.Tagged("by:me"))
	}
	t.Run("every event has both", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 1)
		_, err := effect(db, 1)
		must(t, err)
		records := all(t, db, tag)
		equal(t, "records", len(records), 2)
		equal(t, "first ID", records[0].ID, annals.NameID("effect", "1", "0"))
		equal(t, "second ID", records[1].ID, annals.NameID("effect", "1", "1"))
		equal(t, "tags of the second", len(records[1].Tags), 3)
		r, err := effect(db, 2)
		must(t, err)
		equal(t, "appended again", r.Last, 0)
	})
	t.Run("one that lost the race sees what the other did", func(t *testing.T) {
		db, log := open(t, nil)
		create(t, db, "a", "A", 1)
		other, raced := annals.New(log, nil), false
		r, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			if !raced {
				raced = true
				tx.Now()
				if _, _, err := tx.Last(annals.Match(annals.QueryItem{Types: []string{"nothing"}})); err != nil {
					return err // pins the view
				}
				if _, err := effect(other, 7); err != nil {
					return err
				}
				return tx.Append(Enrolled{"other", "s"}) // the ID is known, with other content, and no condition fails
			}
			_, found, err := tx.Last(tag)
			equal(t, "found", found, true)
			return err
		}, annals.Derived("effect", "1"), annals.Tagged("by:me"))
		must(t, err)
		equal(t, "appended", r.Last, 0)
		equal(t, "records", len(all(t, db, tag)), 2)
	})
}

func TestTypeName(t *testing.T) {
	name, err := annals.TypeName(&Enrolled{})
	must(t, err)
	equal(t, "name", name, "Enrolled")
	for _, e := range []any{nil, struct{}{}} {
		if _, err := annals.TypeName(e); err == nil {
			t.Errorf("%T has a name", e)
		}
	}
}
