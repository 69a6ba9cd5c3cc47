package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/pgserver"
)

func TestMain(m *testing.M) {
	testscript.Main(stopping{m}, map[string]func(){"orders": main})
}

// stopping stops the servers that the tests have shared.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	defer pgserver.StopShared()
	return s.M.Run()
}

func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

func TestSessionsOnPostgreSQL(t *testing.T) {
	url := pgserver.Shared(t).NewDatabase(t) + "&schema={app}"
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("ORDERS_STORE", url)
		return nil
	}})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// running is an "orders run" in a process of its own.
type running struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	r := &running{cmd: exec.Command("orders", append([]string{"-dir", dir, "run"}, args...)...)}
	r.cmd.Stderr = &r.stderr
	must(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// kill kills -9.
func (r *running) kill(t *testing.T) {
	t.Helper()
	must(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	if r.stderr.Len() > 0 {
		t.Fatalf("the process says: %s", &r.stderr)
	}
}

// count counts the events of a type in an application's log.
func (s *shop) count(t *testing.T, app, eventType string) (n int) {
	t.Helper()
	for _, err := range s.dbs[app].View(t.Context()).Read(annals.Match(annals.QueryItem{Types: []string{eventType}})) {
		must(t, err)
		n++
	}
	return n
}

// until waits until an application's log has n events of a type.
func (s *shop) until(t *testing.T, app, eventType string, n int) {
	t.Helper()
	for begin := time.Now(); s.count(t, app, eventType) < n; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%s has %d of %d %s", app, s.count(t, app, eventType), n, eventType)
		}
	}
}

func open(t *testing.T) (*shop, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := openShop(t.Context(), dir, "")
	must(t, err)
	t.Cleanup(func() { s.close() })
	return s, dir
}

func (s *shop) place(ctx context.Context, order string) error {
	return s.do(ctx, "place", []string{order, "teapot", "25"}, nil)
}

func TestAProcessKilledBetweenPaymentAndShippingShipsExactlyOnce(t *testing.T) {
	s, dir := open(t)
	must(t, s.place(t.Context(), "1"))
	first := start(t, dir, "-packing", "1h")
	s.until(t, "payments", "PaymentOpened", 1)
	must(t, s.do(t.Context(), "pay", []string{"1"}, nil))
	s.until(t, "fulfilment", "ShipmentRequested", 1)
	s.until(t, "orders", "OrderPaid", 1)
	first.kill(t)
	if n := s.count(t, "shipping", "ParcelShipped"); n != 0 {
		t.Fatalf("%d parcels were shipped before the kill", n)
	}
	t.Log("killed: paid 1, shipped 0")

	second, third := start(t, dir), start(t, dir) // two at once
	s.until(t, "orders", "OrderShipped", 1)
	second.kill(t)
	third.kill(t)
	must(t, s.settle(t.Context(), settings{deadline: time.Hour}))
	for app, event := range map[string]string{"payments": "PaymentReceived", "shipping": "ParcelShipped", "fulfilment": "FulfilmentCompleted", "orders": "OrderShipped"} {
		if n := s.count(t, app, event); n != 1 {
			t.Errorf("%s has %d %s", app, n, event)
		}
	}
	var list bytes.Buffer
	must(t, s.do(t.Context(), "list", nil, &list))
	if got, want := list.String(), "1  teapot  25  shipped  parcel P-1\n"; got != want {
		t.Errorf("list: %q, want %q", got, want)
	}
	t.Log("started again: paid 1, shipped 1")
}

// Processes are killed at random points while orders are placed and paid. Every
// order is shipped once.
func TestProcessesKilledAtRandom(t *testing.T) {
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("ANNALS_SEEDS")); err == nil {
		seeds = n
	}
	for seed := 1; seed <= seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { killedAtRandom(t, uint64(seed)) })
	}
}

func killedAtRandom(t *testing.T, seed uint64) {
	const orders, rounds = 24, 6
	rnd := rand.New(rand.NewPCG(seed, 0))
	s, dir := open(t)
	paid := 0
	pay := func() { // what is open
		for ; paid < s.count(t, "payments", "PaymentOpened"); paid++ {
			must(t, s.do(t.Context(), "pay", []string{fmt.Sprint(paid)}, nil))
		}
	}
	for round := range rounds {
		r := start(t, dir)
		for n := range orders / rounds {
			must(t, s.place(t.Context(), fmt.Sprint(round*orders/rounds+n)))
		}
		for kill := time.After(time.Duration(20+rnd.IntN(150)) * time.Millisecond); ; {
			select {
			case <-kill:
			case <-time.After(10 * time.Millisecond):
				pay()
				continue
			}
			break
		}
		r.kill(t)
	}
	before := s.count(t, "shipping", "ParcelShipped")
	last := start(t, dir)
	s.until(t, "payments", "PaymentOpened", orders)
	pay()
	s.until(t, "orders", "OrderShipped", orders)
	last.kill(t)
	must(t, s.settle(t.Context(), settings{deadline: time.Hour}))
	for app, event := range map[string]string{"payments": "PaymentReceived", "shipping": "ParcelShipped", "fulfilment": "FulfilmentCompleted", "orders": "OrderShipped"} {
		if n := s.count(t, app, event); n != orders {
			t.Errorf("seed %d: %s has %d %s, want %d", seed, app, n, event, orders)
		}
	}
	var rows int
	must(t, s.readModel.QueryRow(`SELECT count(*) FROM orders WHERE status = 'shipped'`).Scan(&rows))
	if rows != orders {
		t.Errorf("seed %d: the read model has %d orders shipped, want %d", seed, rows, orders)
	}
	t.Logf("seed %d: %d of %d had been shipped when the last process was killed", seed, before, orders)
}
