package pgstore_test

import (
	"testing"

	"github.com/annals-db/annals/driver"
)

// A read of several pages sees the log as it was when ranging began.
func TestReadOfSeveralPagesIsBoundedByWhereTheLogStood(t *testing.T) {
	s := openStore(t, newURL(t), nil)
	const n = 500
	var b driver.Batch
	for range n {
		b.Events = append(b.Events, event("a-1", "A", "k:v"))
	}
	mustAppend(t, s, b)
	head := n
	for name, q := range map[string]driver.Query{
		"all": {}, "stream": {Items: []driver.Item{{Streams: []string{"a-1"}}}}, "tag": tagged("k:v"), "type": {Items: []driver.Item{{Types: []string{"A"}}}},
		"several": {Items: []driver.Item{{Types: []string{"A"}}, {Tags: []string{"k:v"}}, {Category: "a"}}},
	} {
		for _, backward := range []bool{false, true} {
			got := 0
			for r, err := range s.Read(newContext(t), q, driver.ReadOptions{Backward: backward}) {
				if err != nil {
					t.Fatal(err)
				}
				want := got + 1
				if backward {
					want = head - got
				}
				if int(r.Position) != want {
					t.Fatalf("%s, backward %v: position %d comes where %d should", name, backward, r.Position, want)
				}
				if got++; got == 1 {
					mustAppend(t, s, batch(event("a-1", "A", "k:v")))
				}
			}
			if got != head {
				t.Errorf("%s, backward %v: %d records, want %d", name, backward, got, head)
			}
			head++
		}
	}
}
