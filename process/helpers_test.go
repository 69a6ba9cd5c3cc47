package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/annalstest"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/process"
)

// The events of a shop: orders come in, a manager sees to it that they are paid
// in time, and payments takes the money.
type (
	Placed struct {
		Order string
		Total int
	}
	Asked struct {
		Order string
		Total int
	} // for money
	Taken struct {
		Order string
		Total int
	}
	Confirmed struct{ Order string }
	Expired   struct{ Order string }
	Dropped   struct{ Order string }
	Noted     struct{ Text string } // by others
)

func (e Placed) Tags() []string  { return []string{"order:" + e.Order} }
func (e Expired) Tags() []string { return []string{"order:" + e.Order} }

// Till is an entity that all payments are taken in.
type Till struct {
	annals.Entity
	Sum, Payments int
}

var Tills = annals.NewModel("till", annals.On(func(t *Till, e Taken) { t.Sum += e.Total; t.Payments++ }), annals.On(func(t *Till, e Noted) {}))

// Care is the state of the process manager for one order.
type Care struct {
	annals.Entity
	Asked, Confirmed, Dropped bool
}

var Cares = annals.NewModel("care",
	annals.On(func(c *Care, e Asked) { c.Asked = true }),
	annals.On(func(c *Care, e Confirmed) { c.Confirmed = true }),
	annals.On(func(c *Care, e Dropped) { c.Dropped = true }),
	annals.On(func(c *Care, e Noted) {}),
)

const deadline = 24 * time.Hour

// manager returns the application that sees to orders.
func manager(db *annals.DB) *process.App {
	return process.New("care", db,
		process.Manage(Cares, func(e Placed) string { return e.Order }, func(r *process.Reaction, c *Care, e Placed) error {
			return errors.Join(c.Record(Asked(e)), r.Schedule(e.Order, r.Tx.Now().Add(deadline), Expired{e.Order}))
		}),
		process.Manage(Cares, func(e Taken) string { return e.Order }, func(r *process.Reaction, c *Care, e Taken) error {
			if c.Dropped {
				return nil // too late
			}
			return errors.Join(c.Record(Confirmed{e.Order}), r.Cancel(e.Order))
		}),
		process.Manage(Cares, func(e Expired) string { return e.Order }, func(r *process.Reaction, c *Care, e Expired) error {
			if c.Confirmed {
				return errors.New("the deadline of a confirmed order has come")
			}
			return c.Record(Dropped(e))
		}),
	)
}

// payments returns the application that takes money, but none of orders whose
// number is divisible by five.
func payments(db *annals.DB) *process.App {
	return process.New("payments", db, process.On(func(r *process.Reaction, e Asked) error {
		if n, _ := strconv.Atoi(e.Order); n%5 == 0 {
			return nil
		}
		t, err := Tills.Load(r.Tx, "1")
		if errors.Is(err, annals.ErrNotFound) {
			t, err = Tills.Create(r.Tx, "1")
		}
		if err != nil {
			return err
		}
		return t.Record(Taken(e))
	}))
}

// shop is three logs, and what joins them anew each time it is asked.
type shop struct {
	clock                  *annalstest.Clock
	orders, care, payments driver.Log
}

func newShop() *shop {
	c := annalstest.NewClock(annalstest.Start)
	log := func() driver.Log { return memstore.New(&memstore.Options{Clock: c.Now}) }
	return &shop{c, log(), log(), log()}
}

func (s *shop) db(log driver.Log) *annals.DB {
	return annals.New(log, &annals.Options{Clock: s.clock.Now})
}

func (s *shop) system(t testing.TB, opts *process.Options) *process.System {
	t.Helper()
	if opts == nil {
		opts = &process.Options{Backoff: func(int) time.Duration { return time.Millisecond }, Interval: time.Millisecond}
	}
	orders, care, pay := process.New("orders", s.db(s.orders)), manager(s.db(s.care)), payments(s.db(s.payments))
	system, err := process.NewSystem(opts, process.Pipe(orders, care, pay, care))
	must(t, err)
	return system
}

// place places an order; doing it again has no effect.
func (s *shop) place(t testing.TB, n int) {
	t.Helper()
	_, err := s.db(s.orders).Update(context.Background(), func(tx *annals.Tx) error {
		return tx.Append(Placed{fmt.Sprint(n), n})
	}, annals.Once(fmt.Sprint("order ", n)))
	must(t, err)
}

// told are the types and data of a log's events, in order.
func told(t testing.TB, log driver.Log) (all []string) {
	t.Helper()
	for r, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
		must(t, err)
		all = append(all, r.Type+string(r.Data))
	}
	return all
}

// count counts the events of a log whose type and data have a prefix.
func count(t testing.TB, log driver.Log, prefix string) (n int) {
	t.Helper()
	for _, e := range told(t, log) {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}

// right checks that orders 1 to n have each had their effects, once: all
// paid but each fifth, which are dropped if their time is over.
func (s *shop) right(t testing.TB, n int, over bool) {
	t.Helper()
	unpaid := n / 5
	equal(t, "orders", count(t, s.orders, "Placed"), n)
	equal(t, "asked", count(t, s.care, "Asked"), n)
	equal(t, "timers", count(t, s.care, "process.TimerSet"), n)
	equal(t, "taken", count(t, s.payments, "Taken"), n-unpaid)
	equal(t, "confirmed", count(t, s.care, "Confirmed"), n-unpaid)
	equal(t, "cancelled", count(t, s.care, "process.TimerCancelled"), n-unpaid)
	if !over {
		unpaid = 0
	}
	equal(t, "fired", count(t, s.care, "process.TimerFired"), unpaid)
	equal(t, "expired", count(t, s.care, "Expired"), unpaid)
	equal(t, "dropped", count(t, s.care, "Dropped"), unpaid)
	order := 0
	for _, e := range told(t, s.care) {
		if strings.HasPrefix(e, "Asked") {
			order++
			equal(t, "in order", strings.Contains(e, fmt.Sprintf(`"Order":"%d"`, order)), true)
		}
	}
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

// seeds returns the seeds to run: ANNALS_SEED, or ANNALS_SEEDS many, or n.
func seeds(n uint64) (first, last uint64) {
	if s, err := strconv.ParseUint(os.Getenv("ANNALS_SEED"), 10, 64); err == nil {
		return s, s
	}
	if m, err := strconv.ParseUint(os.Getenv("ANNALS_SEEDS"), 10, 64); err == nil {
		n = m
	}
	return 1, n
}
