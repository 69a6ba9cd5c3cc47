package index

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-db/annals/driver"
)

// Every group has three records of one stream and one tag; whoever sees one
// of them sees all.
func TestReadersSeeAGroupWholeOrNotAtAllWhileItIsAdded(t *testing.T) {
	const groups = 3000
	m := NewMem(1)
	var done atomic.Bool
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			for i := 0; !done.Load(); i = (i + 1) % 50 {
				if fault := wholeGroups(m, i, reader == 0); fault != "" {
					t.Error(fault)
					return
				}
			}
		})
	}
	entries := make([]Entry, 3)
	for g := range groups {
		for i := range entries {
			p := driver.Position(g*3 + i + 1)
			entries[i] = Entry{
				Position: p, Offset: int64(p) * 100, Time: int64(g), Type: "Type", Version: uint64(g/50*3 + i + 1),
				Stream: fmt.Sprintf("item-%d", g%50), Tags: []string{fmt.Sprintf("group:%d", g)}, ID: driver.ID{0: byte(g), 1: byte(g >> 8), 15: byte(i)},
			}
		}
		m.Add(entries)
	}
	done.Store(true)
	wg.Wait()
}

// wholeGroups says what is wrong with what a reader sees of one stream.
func wholeGroups(m *Mem, stream int, backward bool) string {
	name := fmt.Sprintf("item-%d", stream)
	if _, version, ok := m.LastOf(name); ok && version%3 != 0 {
		return fmt.Sprintf("%s is at version %d", name, version)
	}
	if n := m.Len(); n%3 != 0 {
		return fmt.Sprintf("%d records", n)
	}
	for _, q := range []driver.Query{
		{Items: []driver.Item{{Streams: []string{name}}}},
		{Items: []driver.Item{{Category: "item", Types: []string{"Type"}}}},
		{Items: []driver.Item{{Tags: []string{fmt.Sprintf("group:%d", stream)}}}},
	} {
		n := 0
		for h := range m.Select(q, 0, ^driver.Position(0), backward) {
			if h.Offset != int64(h.Position)*100 {
				return fmt.Sprintf("position %d is at offset %d", h.Position, h.Offset)
			}
			n++
		}
		if n%3 != 0 {
			return fmt.Sprintf("%d records match %s", n, q)
		}
	}
	return ""
}
