package replica_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/internal/natscluster"
	"github.com/annals-db/annals/replica"
)

// shared is the cluster that most tests use, in a process of its own so that a
// test can count its goroutines.
var shared *natscluster.Child

// logs has new logs on it.
var logs *stock

func TestMain(m *testing.M) {
	stockMain()
	nodeMain()
	dir, err := os.MkdirTemp("", "annals-nats-")
	if err == nil {
		shared, err = natscluster.StartChild(dir)
	}
	if err == nil {
		logs, err = startStock(shared.URL, shared.System)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	logs.stop()
	shared.Stop()
	os.RemoveAll(dir)
	os.Exit(code)
}

var ctx = context.Background()

// harness opens logs on the shared cluster, each with one node; Second opens another.
type harness struct {
	opened *sync.Map // of the open nodes, by *replica.Store
}

type place struct {
	dir  string
	opts replica.Options
}

func (h harness) open(t testing.TB, p place) driver.Log {
	s, err := replica.Open(ctx, shared.URL, p.dir, &p.opts)
	if err != nil {
		t.Fatal(err)
	}
	h.opened.Store(s, p)
	return s
}

func (h harness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return h.open(t, place{filepath.Join(t.TempDir(), "node"), replica.Options{Name: newName(t), Node: "first", Clock: clock, System: shared.System}})
}

func (h harness) Reopen(t testing.TB, log driver.Log) driver.Log {
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	p, _ := h.opened.LoadAndDelete(log)
	return h.open(t, p.(place))
}

func (h harness) Second(t testing.TB, log driver.Log) driver.Log {
	p, _ := h.opened.Load(log)
	second := p.(place)
	second.dir, second.opts.Node = filepath.Join(t.TempDir(), "second"), "second"
	return h.open(t, second)
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, harness{opened: &sync.Map{}})
}
