package index

import (
	"encoding/binary"
	"hash/maphash"
	"sort"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// Mem is the index of the active segment. One goroutine adds, any number read
// at the same time, without locks: neither ever waits for the other. A group
// added is seen whole or not at all.
//
// Records are known by ordinal, position less first. Each name keeps its last
// posting, and each posting the one before it of the same name, so that adding
// a record writes one row and no list ever moves.
type Mem struct {
	first driver.Position
	n     atomic.Uint32 // records that readers see; stored last

	rows     column[row]
	tagged   column[posting]
	streams  names // the chain goes by row.prevStream
	types    names // by row.prevType
	category names // by row.prevCategory; streams without a dash are not in it
	tags     names // by posting.prev
	ids      table
	seed     maphash.Seed
}

// row is a record. It fills a cache line.
type row struct {
	offset       int64
	time         int64
	version      uint64
	id           driver.ID
	stream       uint32 // number + 1, 0 for none
	typ          uint32 // number
	tagEnd       uint32 // its tags in tagged end here and begin where those of the record before end
	prevStream   uint32 // these three: ordinal + 1 of the record before it in its chain, 0 for none
	prevType     uint32
	prevCategory uint32
}

// posting says that a record has a tag.
type posting struct {
	tag     uint32
	ordinal uint32
	prev    uint32 // number + 1 of the posting before of the same tag, 0 for none
}

// NewMem returns the empty index of a segment whose first record will have
// position first.
func NewMem(first driver.Position) *Mem {
	seed := maphash.MakeSeed()
	m := &Mem{first: first, seed: seed}
	for _, d := range []*names{&m.streams, &m.types, &m.category, &m.tags} {
		d.seed = seed
	}
	return m
}

// Add adds a committed group. The entries and what they point to may be reused
// when it returns.
func (m *Mem) Add(entries []Entry) {
	for i := range entries {
		m.add(&entries[i])
	}
	m.n.Store(m.rows.n)
}

func (m *Mem) add(e *Entry) {
	r, ordinal := m.rows.grow()
	r.offset, r.time, r.version, r.id = e.Offset, e.Time, e.Version, e.ID
	if e.Stream != "" {
		m.addStream(r, ordinal, e.Stream)
	}
	number, k, _ := m.types.intern(e.Type)
	r.typ, r.prevType = number, k.last()
	k.advance(ordinal)
	for _, t := range e.Tags {
		number, k, _ := m.tags.intern(t)
		p, i := m.tagged.grow()
		*p = posting{number, ordinal, k.last()}
		k.advance(i)
	}
	r.tagEnd = m.tagged.n
	m.ids.insert(m.hashID(&e.ID), ordinal)
}

func (m *Mem) addStream(r *row, ordinal uint32, stream string) {
	number, k, added := m.streams.intern(stream)
	if category := driver.Category(stream); added && category != stream {
		c, _, _ := m.category.intern(category)
		k.category = c + 1
	}
	r.stream, r.prevStream = number+1, k.last()
	if k.category != 0 {
		c := m.category.keys.at(k.category - 1)
		r.prevCategory = c.last()
		c.advance(ordinal)
	}
	k.advance(ordinal)
}

// hashID hashes an ID, whose bytes its producer may have chosen.
func (m *Mem) hashID(id *driver.ID) uint32 {
	return uint32(maphash.Comparable(m.seed, [2]uint64{binary.LittleEndian.Uint64(id[:]), binary.LittleEndian.Uint64(id[8:])}))
}

// Len is the number of records indexed.
func (m *Mem) Len() int { return int(m.n.Load()) }

// First is the position of the segment's first record.
func (m *Mem) First() driver.Position { return m.first }

// Last is the position of the last record, First-1 if there is none.
func (m *Mem) Last() driver.Position { return m.first + driver.Position(m.n.Load()) - 1 }

// FirstTime is the time of the first record in Unix nanoseconds, 0 if there is none.
func (m *Mem) FirstTime() int64 {
	if m.n.Load() == 0 {
		return 0
	}
	return m.rows.at(0).time
}

// LastTime is the time of the last record in Unix nanoseconds, 0 if there is none.
func (m *Mem) LastTime() int64 {
	n := m.n.Load()
	if n == 0 {
		return 0
	}
	return m.rows.at(n - 1).time
}

// hit returns where the record with that ordinal is.
func (m *Mem) hit(ordinal uint32) Hit {
	return Hit{m.first + driver.Position(ordinal), m.rows.at(ordinal).offset}
}

// Offset returns the offset of the frame of the record at p; a
// *[driver.PositionError] if p is not in the segment.
func (m *Mem) Offset(p driver.Position) (int64, error) {
	n := m.n.Load()
	if p < m.first || p-m.first >= driver.Position(n) {
		return 0, notIn(p, m.first, n)
	}
	return m.rows.at(uint32(p - m.first)).offset, nil
}

// LastOf returns where the last record of stream is and its version. ok is
// false if the segment has none.
func (m *Mem) LastOf(stream string) (hit Hit, version uint64, ok bool) {
	n := m.n.Load()
	number, ok := m.streams.find(stream)
	if !ok {
		return Hit{}, 0, false
	}
	c := chain{m: m, kind: byStream, at: m.streams.keys.at(number).last()}
	ordinal, ok := c.next(n)
	if !ok {
		return Hit{}, 0, false
	}
	return m.hit(ordinal), m.rows.at(ordinal).version, true
}

// FindID returns where the record with id is. ok is false if the segment does not hold it.
func (m *Mem) FindID(id driver.ID) (hit Hit, ok bool) {
	n := m.n.Load()
	for p := m.ids.look(m.hashID(&id)); ; {
		ordinal, ok := p.next()
		if !ok {
			return Hit{}, false
		}
		if ordinal < n && m.rows.at(ordinal).id == id {
			return m.hit(ordinal), true
		}
	}
}

// AtOrBefore returns the position of the last record whose time is at or
// before t (Unix nanoseconds), First-1 if there is none.
func (m *Mem) AtOrBefore(t int64) driver.Position {
	n := sort.Search(int(m.n.Load()), func(i int) bool { return m.rows.at(uint32(i)).time > t })
	return m.first + driver.Position(n) - 1
}

// hasTag reports whether the record with that ordinal has the tag with that number.
func (m *Mem) hasTag(ordinal, tag uint32) bool {
	begin := uint32(0)
	if ordinal > 0 {
		begin = m.rows.at(ordinal - 1).tagEnd
	}
	for i := begin; i < m.rows.at(ordinal).tagEnd; i++ {
		if m.tagged.at(i).tag == tag {
			return true
		}
	}
	return false
}
