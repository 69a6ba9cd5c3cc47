package index

import (
	"encoding/gob"
	"io"
	"iter"
	"sort"
	"sync"

	"github.com/annals-db/annals/driver"
)

// Mem is the index of the active segment. One goroutine adds, any number read
// at the same time; a group added is seen whole or not at all.
type Mem struct {
	first   driver.Position
	mu      sync.RWMutex
	entries []Entry
}

// NewMem returns the empty index of a segment whose first record will have
// position first.
func NewMem(first driver.Position) *Mem { return &Mem{first: first} }

// Add adds a committed group. The entries and their strings may be reused when it returns.
func (m *Mem) Add(entries []Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, entries...)
}

func (m *Mem) snapshot() []Entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries
}

// Len is the number of records indexed.
func (m *Mem) Len() int { return len(m.snapshot()) }

// First is the position of the segment's first record.
func (m *Mem) First() driver.Position { return m.first }

// Last is the position of the last record, First-1 if there is none.
func (m *Mem) Last() driver.Position { return m.first + driver.Position(m.Len()) - 1 }

// FirstTime is the time of the first record in Unix nanoseconds, 0 if there is none.
func (m *Mem) FirstTime() int64 {
	if e := m.snapshot(); len(e) > 0 {
		return e[0].Time
	}
	return 0
}

// LastTime is the time of the last record in Unix nanoseconds, 0 if there is none.
func (m *Mem) LastTime() int64 {
	if e := m.snapshot(); len(e) > 0 {
		return e[len(e)-1].Time
	}
	return 0
}

// Offset returns the offset of the frame of the record at p; a
// *[driver.PositionError] if p is not in the segment.
func (m *Mem) Offset(p driver.Position) (int64, error) {
	e := m.snapshot()
	if p < m.first || p-m.first >= driver.Position(len(e)) {
		return 0, &driver.PositionError{What: "position", Head: m.Last()}
	}
	return e[p-m.first].Offset, nil
}

// Select yields the records that match q with positions in (after, upTo], in
// order of position, from the highest down if backward. It sees the index as
// it is when ranging begins.
func (m *Mem) Select(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		entries := m.snapshot()
		for i := range entries {
			if backward {
				i = len(entries) - 1 - i
			}
			e := &entries[i]
			if e.Position <= after || e.Position > upTo {
				continue
			}
			if q.Matches(&driver.Event{ID: e.ID, Stream: e.Stream, Type: e.Type, Tags: e.Tags}) && !yield(Hit{e.Position, e.Offset}, nil) {
				return
			}
		}
	}
}

// LastOf returns where the last record of stream is and its version. ok is
// false if the segment has none.
func (m *Mem) LastOf(stream string) (hit Hit, version uint64, ok bool) {
	entries := m.snapshot()
	for i := len(entries) - 1; i >= 0; i-- {
		if e := &entries[i]; e.Stream == stream {
			return Hit{e.Position, e.Offset}, e.Version, true
		}
	}
	return Hit{}, 0, false
}

// FindID returns where the record with id is. ok is false if the segment does not hold it.
func (m *Mem) FindID(id driver.ID) (hit Hit, ok bool) {
	for _, e := range m.snapshot() {
		if e.ID == id {
			return Hit{e.Position, e.Offset}, true
		}
	}
	return Hit{}, false
}

// AtOrBefore returns the position of the last record whose time is at or
// before t (Unix nanoseconds), First-1 if there is none.
func (m *Mem) AtOrBefore(t int64) driver.Position {
	entries := m.snapshot()
	n := sort.Search(len(entries), func(i int) bool { return entries[i].Time > t })
	return m.first + driver.Position(n) - 1
}

type image struct {
	First   driver.Position
	Entries []Entry
	Extra   []byte
}

// Seal writes the index file of the segment, of which every record has been
// added. extra is kept verbatim for [Sealed.Extra]. The file is the same, byte
// for byte, whenever it is made from the same records and extra.
func (m *Mem) Seal(w io.Writer, extra []byte) error {
	return gob.NewEncoder(w).Encode(image{m.first, m.snapshot(), extra})
}
