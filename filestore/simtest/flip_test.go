package simtest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/simfs"
)

var strideFlag = flag.Int("stride", 0, "TestFlippedBytes flips every so many bytes; 0 chooses 1, or 11 under the race detector or with -short")

// smallStore makes a closed store of a few segments and returns its disk and its log.
func smallStore(t *testing.T) (*simfs.Disk, []driver.Record) {
	t.Helper()
	disk := simfs.New(1, nil)
	log, err := filestore.Open(dir, &filestore.Options{FS: disk.Process(), SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for n := range 14 {
		var b driver.Batch
		for i := range 1 + n%3 {
			b.Events = append(b.Events, driver.Event{
				ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n, i)), Stream: nth(streams, n+i), Type: nth(types, n), Tags: []string{nth(tags, n), "every:one"},
				Data: fmt.Appendf(nil, `{"n":%d,"i":%d,"fill":"%s"}`, n, i, strings.Repeat("x", 200+n*10)), Metadata: driver.Metadata{{Key: "actor", Value: "ann"}},
			})
		}
		if n%4 == 1 {
			b.Conditions = []driver.Condition{driver.StreamPresent(streams[0])}
		}
		if _, err := log.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := log.State().Save(ctx, "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	// Once more, so that what is left to the next opening is done.
	if log, err = filestore.Open(dir, &filestore.Options{FS: disk.Process(), SegmentBytes: 4 << 10}); err != nil {
		t.Fatal(err)
	}
	all, err := drain(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, all
}

func nth(of []string, n int) string { return of[n%len(of)] }

func drain(log driver.Log) ([]driver.Record, error) {
	var all []driver.Record
	for r, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// fate is what became of a flipped byte.
type fate int

const (
	found  fate = iota // opening, reading or verifying named it
	unused             // the log reads and verifies as before
	wrong              // something else was served, without an error
)

// outcome opens a store in which a byte was flipped, first for reading only,
// which repairs nothing, and says what became of it.
func outcome(disk *simfs.Disk, want []driver.Record) (fate, string) {
	f, why := opened(disk, want, true)
	if w, whyW := opened(disk, want, false); w == wrong || f == unused {
		return w, whyW
	}
	return f, why
}

func opened(disk *simfs.Disk, want []driver.Record, readOnly bool) (fate, string) {
	log, err := filestore.Open(dir, &filestore.Options{FS: disk.Process(), SegmentBytes: 4 << 10, ReadOnly: readOnly})
	if err != nil {
		return found, err.Error()
	}
	defer log.Close()
	info, err := log.Info(context.Background())
	if err != nil || info.ReadOnly != "" && !readOnly {
		return found, info.ReadOnly
	}
	if r := log.Recovery(); len(r.Rebuilt) > 0 {
		return found, fmt.Sprint("made again: ", r.Rebuilt)
	}
	got, err := drain(log)
	if err != nil {
		return found, err.Error()
	}
	for err := range log.Verify(context.Background(), nil) {
		return found, err.Error()
	}
	if !readOnly {
		if v, _, err := log.State().Load(context.Background(), "key"); err != nil {
			return found, err.Error()
		} else if string(v) != "value" {
			return wrong, "the state is " + string(v)
		}
	}
	if len(got) != len(want) {
		return wrong, fmt.Sprintf("%d records of %d", len(got), len(want))
	}
	for i := range got {
		if digest(&got[i]) != digest(&want[i]) {
			return wrong, "position " + fmt.Sprint(i+1) + " differs"
		}
	}
	// By streams and tags too, which go through the indexes.
	for _, q := range []driver.Query{{Items: []driver.Item{{Streams: streams[:1]}}}, {Items: []driver.Item{{Tags: []string{"every:one"}}}}} {
		n := 0
		for _, err := range log.Read(context.Background(), q, driver.ReadOptions{}) {
			if err != nil {
				return found, err.Error()
			}
			n++
		}
		if n != len(wanted(want, q, driver.ReadOptions{UpTo: driver.Position(len(want))})) {
			return wrong, "a query gives other records"
		}
	}
	return unused, ""
}

// Every byte of a small store is flipped in turn: either it is named, or it is
// of no use to anybody.
func TestFlippedBytes(t *testing.T) {
	disk, want := smallStore(t)
	files := disk.Files()
	stride := *strideFlag
	if stride == 0 {
		stride = 1
		if testing.Short() || slow {
			stride = 11
		}
	}
	total := map[fate]int{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fates := flipEach(t, disk, name, len(files[name]), stride, want)
		count := map[fate]int{}
		for _, f := range fates {
			count[f]++
		}
		total[found] += count[found]
		total[unused] += count[unused]
		t.Logf("%s: %d bytes, %d found, %d unused: %s", name, len(files[name]), count[found], count[unused], ranges(fates, stride))
		allowed := mayBeUnused(name)
		for i, f := range fates {
			if f == unused && !allowed(i*stride) {
				t.Errorf("%s: byte %d, flipped, is not noticed", name, i*stride)
				break
			}
		}
	}
	t.Logf("%d bytes flipped: %d found, %d of unused space", total[found]+total[unused], total[found], total[unused])
}

// mayBeUnused says which bytes of a file nobody needs: those between the two
// slots of the durable mark, which lie in blocks of their own.
func mayBeUnused(name string) func(at int) bool {
	return func(at int) bool { return strings.HasSuffix(name, "/mark") && at >= 64 && at < 4096 }
}

// flipEach flips every stride-th byte of a file, on a copy of the disk each.
func flipEach(t *testing.T, disk *simfs.Disk, name string, size, stride int, want []driver.Record) []fate {
	fates := make([]fate, (size+stride-1)/stride)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(fates)); i = next.Add(1) - 1 {
				c := disk.Clone(uint64(i))
				at := i * int64(stride)
				c.Flip(name, at*8+at%8)
				var why string
				if fates[i], why = outcome(c, want); fates[i] == wrong {
					t.Errorf("%s: byte %d, flipped: %s", name, at, why)
				}
			}
		})
	}
	wg.Wait()
	return fates
}

// ranges lists the unused bytes.
func ranges(fates []fate, stride int) string {
	var out []string
	for i := 0; i < len(fates); i++ {
		if fates[i] != unused {
			continue
		}
		k := i
		for k+1 < len(fates) && fates[k+1] == unused {
			k++
		}
		out = append(out, fmt.Sprintf("%d-%d", i*stride, k*stride+stride-1))
		i = k
	}
	if len(out) > 12 {
		out = append(out[:12], fmt.Sprintf("and %d more", len(out)-12))
	}
	return strings.Join(out, " ")
}
