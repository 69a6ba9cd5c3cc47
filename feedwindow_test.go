package annals

import (
	"bytes"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// The window holds the newest chunks, without a gap, up to its bound.
func TestTheWindowOfAFeedIsBounded(t *testing.T) {
	f := &feed{}
	f.now.Store(&window{more: make(chan struct{})})
	for n := range Position(500) {
		f.publish(&chunk{after: n, upTo: n + 1, bytes: 100_000}, nil)
		w := f.now.Load()
		sum, at := 0, w.after
		for _, c := range w.chunks {
			if c.after != at {
				t.Fatalf("chunk after %d follows position %d", c.after, at)
			}
			sum, at = sum+c.bytes, c.upTo
		}
		if at != w.head || w.head != n+1 || sum != w.bytes || sum > windowBytes+100_000 {
			t.Fatalf("the window ends at %d of %d with %d bytes, counted as %d", at, w.head, sum, w.bytes)
		}
	}
}

// However large the records are, what is read at once is bounded, and nothing is left out.
func TestWhatAFeedReadsAtOnceIsBounded(t *testing.T) {
	log := memstore.New(nil)
	data := []byte(`"` + string(bytes.Repeat([]byte("x"), 100_000)) + `"`)
	for range 100 {
		if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: NewID(), Stream: "item-1", Type: "T", Data: data}}}); err != nil {
			t.Fatal(err)
		}
	}
	f := &feed{db: New(log, nil), listeners: map[*Query]struct{}{{}: {}}}
	for after := Position(0); after < 100; {
		c, _, err := f.read(t.Context(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if c.bytes > chunkBytes+len(data)+1000 {
			t.Fatalf("%d bytes are read at once", c.bytes)
		}
		if len(c.records) != int(c.upTo-after) {
			t.Fatalf("%d records are read of those after %d up to %d", len(c.records), after, c.upTo)
		}
		after = c.upTo
	}
}
