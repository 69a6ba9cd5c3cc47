package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

// harness opens logs, each in a schema of its own, in one database.
type harness struct {
	url    string
	next   *atomic.Int64
	clocks *sync.Map // of the open stores, by *pgstore.Store
}

func newHarness(t testing.TB) harness {
	return harness{pgserver.Shared(t).NewDatabase(t), new(atomic.Int64), new(sync.Map)}
}

func (h harness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return h.open(t, fmt.Sprintf("log%d", h.next.Add(1)), clock)
}

func (h harness) open(t testing.TB, schema string, clock func() time.Time) driver.Log {
	s, err := pgstore.Open(context.Background(), h.url, &pgstore.Options{Schema: schema, Clock: clock, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	h.clocks.Store(s, clock)
	return s
}

func (h harness) Reopen(t testing.TB, log driver.Log) driver.Log {
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	clock, _ := h.clocks.LoadAndDelete(log)
	return h.open(t, log.(*pgstore.Store).Schema(), clock.(func() time.Time))
}

func (h harness) Second(t testing.TB, log driver.Log) driver.Log {
	clock, _ := h.clocks.Load(log)
	return h.open(t, log.(*pgstore.Store).Schema(), clock.(func() time.Time))
}

func TestConformance(t *testing.T) { drivertest.Run(t, newHarness(t)) }

func BenchmarkConformance(b *testing.B) { drivertest.Bench(b, newHarness(b)) }
