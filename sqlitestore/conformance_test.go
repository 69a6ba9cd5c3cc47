package sqlitestore_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/sqlitestore"
)

// harness opens files in temporary directories, one for each log.
type harness struct {
	clocks *sync.Map // of the open stores, by *sqlitestore.Store
}

func (h harness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return h.open(t, filepath.Join(t.TempDir(), "log.db"), clock)
}

func (h harness) open(t testing.TB, path string, clock func() time.Time) driver.Log {
	s, err := sqlitestore.Open(path, &sqlitestore.Options{Clock: clock})
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
	return h.open(t, log.(*sqlitestore.Store).Path(), clock.(func() time.Time))
}

// Second opens a handle that shares nothing with the first but the file, as
// another process would.
func (h harness) Second(t testing.TB, log driver.Log) driver.Log {
	s, err := sqlitestore.Open(log.(*sqlitestore.Store).Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) { drivertest.Run(t, harness{&sync.Map{}}) }

func BenchmarkConformance(b *testing.B) { drivertest.Bench(b, harness{&sync.Map{}}) }
