package annals

import "testing"

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
