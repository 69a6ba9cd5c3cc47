package filestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

func TestStreamsKeptInMemoryNeverChangeAnAnswer(t *testing.T) {
	s, err := Open(t.TempDir(), &Options{SegmentBytes: minSegmentBytes, CacheBytes: 7 * 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []driver.Record // what the log should hold
	read := func(stream string, o driver.ReadOptions) (out []string) {
		q := driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}
		for r, err := range s.Read(context.Background(), q, o) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprint(r.Position, r.Version, r.ID))
		}
		return out
	}
	for range 2000 {
		stream := fmt.Sprintf("item-%d", random.IntN(20))
		if random.IntN(3) == 0 {
			e := driver.Event{ID: uuid.New(), Stream: stream, Type: "Added", Data: []byte(strings.Repeat("x", random.IntN(200)))}
			receipt, err := s.Append(context.Background(), driver.Batch{Events: []driver.Event{e}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, driver.Record{Event: e, Position: receipt.First, Version: receipt.Versions[0]})
			continue
		}
		head := driver.Position(len(all))
		o := driver.ReadOptions{Limit: random.IntN(2) * random.IntN(10), Backward: random.IntN(4) == 0}
		if random.IntN(2) == 0 && head > 0 {
			o.After = driver.Position(random.Uint64N(uint64(head) + 1))
			o.UpTo = driver.Position(random.Uint64N(uint64(head) + 1))
		}
		var want []string
		for i := range all {
			if o.Backward {
				i = len(all) - 1 - i
			}
			r := &all[i]
			if r.Stream == stream && r.Position > o.After && (o.UpTo == 0 || r.Position <= o.UpTo) && (o.Limit == 0 || len(want) < o.Limit) {
				want = append(want, fmt.Sprint(r.Position, r.Version, r.ID))
			}
		}
		if got := read(stream, o); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%s %+v: got %q, want %q", stream, o, got, want)
		}
	}
	if s.hot.bytes > s.hot.limit || len(s.hot.streams) == 0 || len(s.hot.order) != len(s.hot.streams) {
		t.Errorf("%d bytes in %d streams are kept, %d is the limit", s.hot.bytes, len(s.hot.streams), s.hot.limit)
	}
}
