package process_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

func TestASystemSettles(t *testing.T) {
	s := newShop()
	system := s.system(t, nil)
	for n := range 12 {
		s.place(t, n+1)
	}
	must(t, system.Settle(t.Context()))
	s.right(t, 12, false)
	did, err := system.Step(t.Context())
	must(t, err)
	equal(t, "anything left", did, false)

	s.clock.Advance(deadline)
	must(t, system.Settle(t.Context()))
	s.right(t, 12, true)
	must(t, s.system(t, nil).Settle(t.Context())) // another one, from the logs alone
	s.right(t, 12, true)
}

func TestEqualLogsGiveEqualSteps(t *testing.T) {
	var before []string
	for range 3 {
		s := newShop()
		for n := range 20 {
			s.place(t, n+1)
		}
		must(t, s.system(t, nil).Settle(t.Context()))
		now := append(told(t, s.care), told(t, s.payments)...)
		if before != nil && strings.Join(now, "\n") != strings.Join(before, "\n") {
			t.Fatal("the same orders have led to other events")
		}
		before = now
	}
}

func TestEffectsNameTheirCause(t *testing.T) {
	s := newShop()
	s.place(t, 1)
	must(t, s.system(t, nil).Settle(t.Context()))
	var placed, asked, taken annals.Record
	for r := range s.orders.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		placed = r
	}
	for r := range s.care.Read(t.Context(), annals.Match(annals.QueryItem{Types: []string{"Asked"}}), driver.ReadOptions{}) {
		asked = r
	}
	for r := range s.payments.Read(t.Context(), driver.Query{}, driver.ReadOptions{}) {
		taken = r
	}
	equal(t, "causation", asked.Metadata.Value("causation"), placed.ID.String())
	equal(t, "causation", taken.Metadata.Value("causation"), asked.ID.String())
	equal(t, "correlation", asked.Metadata.Value("correlation"), placed.ID.String())
	equal(t, "correlation", taken.Metadata.Value("correlation"), placed.ID.String())
	equal(t, "input", taken.Metadata.Value("input"), fmt.Sprint(asked.Position))
	equal(t, "tag", strings.Join(taken.Tags, " "), "process:payments/care")
	equal(t, "ID", taken.ID, annals.NameID("process", "payments/care", asked.ID.String(), "0"))
}

func TestARemoteLogIsFollowedByItsPages(t *testing.T) {
	s, remote := newShop(), newShop()
	for n := range 12 {
		s.place(t, n+1)
	}
	remote.orders = s.orders
	must(t, s.system(t, nil).Settle(t.Context()))
	system, err := process.NewSystem(nil, process.Pipe(
		process.Remote("orders", pages{s.db(s.orders)}), manager(remote.db(remote.care)), payments(remote.db(remote.payments))))
	must(t, err)
	must(t, system.Settle(t.Context()))
	equal(t, "paid", strings.Join(told(t, remote.payments), "\n"), strings.Join(told(t, s.payments), "\n"))
}

// pages is a log of which only the pages are known.
type pages struct{ db *annals.DB }

func (p pages) Select(ctx context.Context, start annals.Position, limit int) ([]annals.Record, error) {
	return p.db.Select(ctx, start, limit)
}

func TestAReactionThatFails(t *testing.T) {
	setup := func(opts process.Options, fails int) (*process.System, *memstore.Store, *int) {
		log, calls := memstore.New(nil), 0
		db := annals.New(log, nil)
		_, err := db.Update(t.Context(), func(tx *annals.Tx) error {
			return errors.Join(tx.Append(Placed{"1", 1}), tx.Append(Placed{"2", 2}))
		})
		must(t, err)
		opts.Backoff = func(int) time.Duration { return time.Microsecond }
		app := process.New("app", db, process.On(func(r *process.Reaction, e Placed) error {
			if calls++; calls <= fails {
				return errors.New("not this one")
			}
			return r.Tx.Append(Expired{e.Order})
		}))
		system, err := process.NewSystem(&opts, process.Pipe(app, app))
		must(t, err)
		return system, log, &calls
	}
	t.Run("is tried again", func(t *testing.T) {
		system, log, _ := setup(process.Options{Attempts: 3}, 2)
		must(t, system.Settle(t.Context()))
		equal(t, "effects", count(t, log, "Expired"), 2)
	})
	t.Run("stops the follower there, and is next again", func(t *testing.T) {
		system, log, calls := setup(process.Options{Attempts: 3}, 3)
		err := system.Settle(t.Context())
		equal(t, "error", fmt.Sprint(err), `process "app": Placed at position 1 of "app": not this one`)
		equal(t, "calls", *calls, 3)
		err = system.Run(t.Context(), "nobody")
		equal(t, "error", fmt.Sprint(err), `system: there is no application "nobody"`)
		must(t, system.Settle(t.Context()))
		equal(t, "effects", count(t, log, "Expired"), 2)
	})
	t.Run("ends Run with the error", func(t *testing.T) {
		system, _, _ := setup(process.Options{Attempts: 1}, 1)
		err := system.Run(t.Context())
		equal(t, "error", fmt.Sprint(err), `process "app": Placed at position 1 of "app": not this one`)
	})
	t.Run("is parked, once, if so chosen", func(t *testing.T) {
		system, log, _ := setup(process.Options{Attempts: 2, Park: true}, 2)
		must(t, system.Settle(t.Context()))
		equal(t, "effects", count(t, log, "Expired"), 1)
		parked := annals.Match(annals.QueryItem{Tags: []string{"parked:app"}})
		n := 0
		for r, err := range log.Read(t.Context(), parked, driver.ReadOptions{}) {
			must(t, err)
			n++
			events, err := annals.New(log, nil).Decode(r)
			must(t, err)
			p := events[0].(process.Parked)
			equal(t, "parked", fmt.Sprint(p.App, p.From, p.Position, p.Type, p.Error), "appapp1Placednot this one")
		}
		equal(t, "parked", n, 1)
	})
}

// A log that was restored from a backup, or another one, is noticed.
func TestAnotherLogIsNoticed(t *testing.T) {
	for name, n := range map[string]int{"shorter": 2, "of another history": 4} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			for n := range 4 {
				s.place(t, n+1)
			}
			must(t, s.system(t, nil).Settle(t.Context()))
			s.orders = memstore.New(nil)
			for i := range n {
				_, err := s.db(s.orders).Update(t.Context(), func(tx *annals.Tx) error { return tx.Append(Placed{fmt.Sprint(i + 1), 1}) })
				must(t, err)
			}
			if err := s.system(t, nil).Settle(t.Context()); !errors.Is(err, process.ErrOtherLog) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestSystemsThatContradict(t *testing.T) {
	db := annals.New(memstore.New(nil), nil)
	silent, other := process.New("a", db), process.New("a", db)
	for want, pipe := range map[string][]*process.App{
		`system: application "a" follows "orders" and handles no events`: process.Pipe(process.New("orders", db), silent),
		`system: two applications are named "a"`:                         process.Pipe(silent, other),
	} {
		_, err := process.NewSystem(nil, pipe)
		equal(t, "error", fmt.Sprint(err), want)
	}
	for _, f := range []func(){
		func() { process.New("a/b", db) },
		func() { process.Remote("", db) },
		func() {
			h := process.On(func(*process.Reaction, Placed) error { return nil })
			process.New("a", db, h, h)
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
	}
}
