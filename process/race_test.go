package process_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

// A worker that decides late about an event, when another has gone on to later
// ones, has no effect: effects come in the order of their causes.
func TestAWorkerThatIsLateHasNoEffect(t *testing.T) {
	log := memstore.New(nil)
	db := annals.New(log, nil)
	var inHand func(order string) // is called while the late worker decides
	decide := func(acts func(order string) bool) *process.System {
		app := process.New("app", db, process.On(func(r *process.Reaction, e Placed) error {
			if !acts(e.Order) {
				return nil
			}
			return r.Tx.Append(Expired{e.Order})
		}))
		s, err := process.NewSystem(nil, process.Pipe(app, app))
		must(t, err)
		return s
	}
	for _, order := range []string{"1", "2", "3"} {
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{order, 1}) })
		must(t, err)
	}
	quick := decide(func(order string) bool { return order == "3" })
	late := decide(func(order string) bool {
		if inHand != nil {
			inHand(order)
		}
		return order == "1"
	})
	inHand = func(string) { inHand = nil; must(t, quick.Settle(t.Context())) }
	must(t, late.Settle(t.Context()))
	equal(t, "effects", count(t, log, "Expired"), 1)
	equal(t, "of the third", count(t, log, `Expired{"Order":"3"}`), 1)
}

// A timer that is cancelled while it fires has not fired, or the reverse.
func TestATimerThatIsCancelledWhileItFires(t *testing.T) {
	clock := annalstest.NewClock(annalstest.Start)
	log := memstore.New(&memstore.Options{Clock: clock.Now})
	db := annals.New(log, &annals.Options{Clock: clock.Now})
	place := func(order string, total int) {
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{order, total}) })
		must(t, err)
	}
	fires := 0
	var inHand func()
	system := func() *process.System {
		app := process.New("app", db,
			process.On(func(r *process.Reaction, e Placed) error {
				if e.Total == 0 {
					return r.Cancel(e.Order)
				}
				return r.Schedule(e.Order, r.Tx.Now().Add(time.Hour), Expired{e.Order})
			}),
			process.On(func(r *process.Reaction, e Expired) error {
				if fires++; inHand != nil {
					inHand()
				}
				return nil
			}))
		s, err := process.NewSystem(nil, process.Pipe(app, app))
		must(t, err)
		return s
	}
	place("a", 1)
	first, second := system(), system()
	must(t, first.Settle(t.Context()))
	clock.Advance(time.Hour)
	inHand = func() {
		inHand = nil
		clock.Set(annalstest.Start) // the other one does not fire it
		place("a", 0)
		must(t, second.Settle(t.Context()))
		clock.Set(annalstest.Start.Add(time.Hour))
	}
	must(t, first.Settle(t.Context()))
	equal(t, "attempts", fires, 1)
	equal(t, "cancelled", count(t, log, "process.TimerCancelled"), 1)
	equal(t, "fired", count(t, log, "Expired"), 0)
}

// What counts is the time of the transaction that fires.
func TestAClockThatIsSetBackWhileATimerFires(t *testing.T) {
	now, back := annalstest.Start, false
	log := memstore.New(nil)
	db := annals.New(log, &annals.Options{Clock: func() time.Time {
		if back {
			back = false
			defer func() { now = annalstest.Start }()
		}
		return now
	}})
	app := process.New("app", db, process.On(func(r *process.Reaction, e Placed) error {
		return r.Schedule(e.Order, annalstest.Start.Add(time.Hour), Expired{e.Order})
	}))
	s, err := process.NewSystem(nil, process.Pipe(app, app))
	must(t, err)
	_, err = db.Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{"a", 1}) })
	must(t, err)
	must(t, s.Settle(t.Context()))
	now, back = annalstest.Start.Add(time.Hour), true
	must(t, s.Settle(t.Context()))
	equal(t, "fired", count(t, log, "Expired"), 0)
	now = annalstest.Start.Add(time.Hour)
	must(t, s.Settle(t.Context()))
	equal(t, "fired", count(t, log, "Expired"), 1)
}

// The follower goes on from the log alone: without a state it only reads more.
func TestWithoutAState(t *testing.T) {
	s := newShop()
	hide := func(log any) stateless { return stateless{log.(*memstore.Store)} }
	s.orders, s.care, s.payments = hide(s.orders), hide(s.care), hide(s.payments)
	for n := range 7 {
		s.place(t, n+1)
		must(t, s.system(t, nil).Settle(t.Context()))
	}
	s.right(t, 7, false)
}

// stateless is a log without a state.
type stateless struct{ *memstore.Store }

func (stateless) State() {} // hides that of the store
