package memstore_test

import (
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/memstore"
)

func TestConformance(t *testing.T) { drivertest.Run(t, harness{}) }

type harness struct{}

func (harness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return memstore.New(&memstore.Options{Clock: clock})
}

func (harness) Reopen(t testing.TB, log driver.Log) driver.Log {
	t.Skip("a log in memory is gone when it is closed")
	return nil
}

func (harness) Second(t testing.TB, log driver.Log) driver.Log {
	t.Skip("a log in memory has one handle; any number of goroutines share it")
	return nil
}

func BenchmarkConformance(b *testing.B) { drivertest.Bench(b, harness{}) }
