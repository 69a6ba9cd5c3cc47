package filestore_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/drivertest"
	"github.com/annals-db/annals/filestore"
)

// harness opens stores in temporary directories. With small segments every
// test of more than a few records goes through sealing and index files.
type harness struct {
	segmentBytes int64
	clocks       *sync.Map // of the open stores, by *filestore.Store
}

func (h harness) Open(t testing.TB, clock func() time.Time) driver.Log {
	return h.open(t, filepath.Join(t.TempDir(), "log"), clock)
}

func (h harness) open(t testing.TB, dir string, clock func() time.Time) driver.Log {
	s, err := filestore.Open(dir, &filestore.Options{SegmentBytes: h.segmentBytes, Clock: clock})
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
	return h.open(t, log.(*filestore.Store).Dir(), clock.(func() time.Time))
}

func (h harness) Second(t testing.TB, log driver.Log) driver.Log {
	s, err := filestore.Open(log.(*filestore.Store).Dir(), &filestore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, harness{clocks: &sync.Map{}})
}

func TestConformanceWithSmallSegments(t *testing.T) {
	drivertest.Run(t, harness{segmentBytes: 4 << 10, clocks: &sync.Map{}})
}

func BenchmarkConformance(b *testing.B) { drivertest.Bench(b, harness{clocks: &sync.Map{}}) }
