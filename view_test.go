package annals_test

import (
	"errors"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/memstore"
)

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) Advance(d time.Duration) { c.now = c.now.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} }

// timed returns a DB and its log on one clock.
func timed(t *testing.T) (*annals.DB, *clock) {
	c := newClock()
	log := memstore.New(&memstore.Options{Clock: c.Now})
	t.Cleanup(func() { log.Close() })
	return annals.New(log, &annals.Options{Clock: c.Now}), c
}

func change(t *testing.T, db *annals.DB, id string, by int, opts ...annals.RecordOption) {
	t.Helper()
	_, err := Items.Update(t.Context(), db, id, func(i *Item) error {
		return i.Record(QuantityIncreased{by}, opts...)
	})
	must(t, err)
}

func TestView(t *testing.T) {
	db, c := timed(t)
	start := c.now
	create(t, db, "a", "A", 10) // position 1 at 12:00
	c.Advance(time.Hour)
	change(t, db, "a", 5) // 2 at 13:00
	c.Advance(time.Hour)
	change(t, db, "a", 1, annals.At(start.Add(30*time.Minute))) // 3 at 14:00, of 12:30
	view := db.View(t.Context())

	t.Run("the present", func(t *testing.T) { equal(t, "quantity", quantity(t, view, "a"), 16) })
	t.Run("at a position", func(t *testing.T) {
		equal(t, "at 1", quantity(t, view.At(1), "a"), 10)
		equal(t, "at 2", quantity(t, view.At(2), "a"), 15)
	})
	t.Run("before the first event it does not exist", func(t *testing.T) {
		for _, v := range []*annals.View{view.At(0), view.AsOf(start.Add(-1)), view.AsOccurred(start.Add(-1))} {
			if _, err := Items.Load(v, "a"); !errors.Is(err, annals.ErrNotFound) {
				t.Fatalf("got %v", err)
			}
		}
	})
	t.Run("a position that does not exist is an error", func(t *testing.T) {
		_, err := Items.Load(view.At(4), "a")
		fails(t, err, "position 4 does not exist", "head is position 3")
	})
	t.Run("as of a time is what the log had then", func(t *testing.T) {
		equal(t, "12:45", quantity(t, view.AsOf(start.Add(45*time.Minute)), "a"), 10)
		equal(t, "13:00", quantity(t, view.AsOf(start.Add(time.Hour)), "a"), 15)
	})
	t.Run("as occurred is what is known now to have been then", func(t *testing.T) {
		equal(t, "12:45", quantity(t, view.AsOccurred(start.Add(45*time.Minute)), "a"), 11)
		equal(t, "12:45 as of 13:00", quantity(t, view.AsOf(start.Add(time.Hour)).AsOccurred(start.Add(45*time.Minute)), "a"), 10)
	})
	t.Run("a version", func(t *testing.T) {
		i, err := Items.LoadVersion(view, "a", 2)
		must(t, err)
		equal(t, "quantity", i.Quantity, 15)
		equal(t, "version", i.Version(), 2)
		_, err = Items.LoadVersion(view, "a", 4)
		fails(t, err, "version 4", "does not exist")
	})
	t.Run("a view stays where it is", func(t *testing.T) {
		v := db.View(t.Context())
		equal(t, "before", quantity(t, v, "a"), 16)
		change(t, db, "a", 100)
		equal(t, "after", quantity(t, v, "a"), 16)
		equal(t, "a new one", quantity(t, db.View(t.Context()), "a"), 116)
	})
	t.Run("history yields every version", func(t *testing.T) {
		var got []int
		for step, err := range Items.History(view.At(3), "a") {
			must(t, err)
			got = append(got, step.State.Quantity)
			equal(t, "events", len(step.Events), 1)
		}
		equal(t, "versions", len(got), 3)
		equal(t, "second", got[1], 15)
	})
}

func TestHandlersSeeOnlyWhatIsFixedBeforeCommit(t *testing.T) {
	db, c := timed(t)
	type Log struct {
		annals.Entity
		Lines []annals.Envelope
	}
	logs := annals.NewModel("log", annals.OnEnvelope(func(l *Log, _ Noted, e annals.Envelope) { l.Lines = append(l.Lines, e) }))
	ctx := annals.WithActor(t.Context(), "alice")
	var recorded []annals.Envelope
	_, err := logs.Add(ctx, db, "x", func(l *Log) error {
		must(t, l.Record(Noted{"one"}, annals.At(c.now.Add(-time.Hour))))
		must(t, l.Record(Noted{"two"}))
		recorded = l.Lines
		return nil
	})
	must(t, err)
	c.Advance(time.Hour)
	l, err := logs.Load(db.View(ctx), "x")
	must(t, err)
	equal(t, "lines", len(l.Lines), 2)
	for i, e := range l.Lines {
		equal(t, "id", e.ID, recorded[i].ID)
		equal(t, "version", e.Version, recorded[i].Version)
		equal(t, "actor", e.Metadata.Value("actor"), "alice")
		equal(t, "occurred", e.Occurred.Equal(recorded[i].Occurred), true)
	}
	equal(t, "late booking", l.Lines[0].Occurred.Equal(l.Lines[1].Occurred.Add(-time.Hour)), true)
}

type Noted struct{ Text string }

func TestACommandDecidesByTheTransactionsTime(t *testing.T) {
	db, c := timed(t)
	create(t, db, "a", "A", 1)
	c.Advance(time.Hour)
	_, err := Items.Update(t.Context(), db, "a", func(i *Item) error {
		equal(t, "now", i.Now(), c.now)
		return i.Increase(1)
	})
	must(t, err)
	equal(t, "occurred", all(t, db, annals.Query{})[1].Occurred.Equal(c.now), true)
	i, err := Items.Load(db.View(t.Context()), "a")
	must(t, err)
	equal(t, "outside a transaction", i.Now().IsZero(), true)
}
