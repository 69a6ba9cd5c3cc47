package index

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
)

// Sealed is the index file of a sealed segment, open. It may be used by any
// number of goroutines at once.
type Sealed struct {
	header
	sections
	pages pages
	extra []byte
	dicts [dictionaries]*dictionary
	idMap filter // of the ID ranges
	kept  atomic.Int64
}

// OpenSealed opens the index file of size bytes that r reads, which the caller
// closes after [Sealed.Close]. It reads the file's head and extra only. It
// fails with a *[DamageError] or r's error. A nil cache is one of 1 MiB for
// this file alone.
func OpenSealed(r io.ReaderAt, size int64, cache *Cache) (*Sealed, error) {
	if cache == nil {
		cache = NewCache(1 << 20)
	}
	s := &Sealed{}
	content := size - (size+pageSize-1)/pageSize*4
	if size < headerSize+4 || pagedSize(content) != size {
		return nil, &DamageError{size, fmt.Sprintf("an index file cannot be %d bytes long", size)}
	}
	s.pages = newPages(r, content, cache)
	head, err := s.pages.read(0)
	if err != nil {
		return nil, err
	}
	if s.header, s.sections, err = decodeHeader(head); err != nil {
		return nil, err
	}
	if s.end != content {
		return nil, &DamageError{size, fmt.Sprintf("the file has %d bytes of content, not %d", content, s.end)}
	}
	s.pages.seed = s.seed
	if s.extra, err = s.pages.load(s.sections.extra, int64(s.extraLen)); err != nil {
		return nil, err
	}
	for i := range s.dicts {
		s.dicts[i] = newDictionary(s, i)
	}
	s.idMap.s, s.idMap.at, s.idMap.size = s, s.ranges, s.prints-s.ranges
	return s, nil
}

// Close gives the cache back what it holds of this file. No other method may be called after it.
func (s *Sealed) Close() { s.pages.cache.release(&s.pages, s.kept.Swap(0)) }

// Extra returns the caller's bytes as given to [Mem.Seal]. They must not be changed.
func (s *Sealed) Extra() []byte { return s.extra }

// Len is the number of records indexed.
func (s *Sealed) Len() int { return int(s.n) }

// First is the position of the segment's first record.
func (s *Sealed) First() driver.Position { return driver.Position(s.first) }

// Last is the position of the segment's last record, First-1 if it has none.
func (s *Sealed) Last() driver.Position { return driver.Position(s.first + s.n - 1) }

// FirstTime is the time of the first record in Unix nanoseconds.
func (s *Sealed) FirstTime() int64 { return int64(s.firstTime) }

// LastTime is the time of the last record in Unix nanoseconds.
func (s *Sealed) LastTime() int64 { return int64(s.lastTime) }

// Offset returns the offset of the frame of the record at p; a
// *[driver.PositionError] if p is not in the segment.
func (s *Sealed) Offset(p driver.Position) (int64, error) {
	if p < s.First() || p-s.First() >= driver.Position(s.n) {
		return 0, notIn(p, s.First(), uint32(s.n))
	}
	var o offsets
	return o.at(s, uint32(p-s.First()))
}

// offsets is one group of the offset table, unpacked as far as was asked for.
type offsets struct {
	group  uint32 // + 1; 0 for none yet
	width  uint
	packed bitReader
	have   int // of frames
	frames [groupLen]int64
}

// at returns the offset of the record with that ordinal.
func (o *offsets) at(s *Sealed, ordinal uint32) (int64, error) {
	group, i := ordinal/groupLen, int(ordinal%groupLen)
	if o.group != group+1 {
		if err := o.open(s, group); err != nil {
			return 0, err
		}
	}
	for ; o.have <= i; o.have++ {
		o.frames[o.have] = o.frames[o.have-1] + int64(o.packed.read(o.width))
	}
	return o.frames[i], nil
}

func (o *offsets) open(s *Sealed, group uint32) error {
	o.group = 0
	row, err := s.pages.bytes(s.groups+int64(group)*groupSize, groupSize)
	if err != nil {
		return err
	}
	o.frames[0], o.have = int64(binary.LittleEndian.Uint64(row[8:])), 1
	begin, width := binary.LittleEndian.Uint32(row[16:]), uint(binary.LittleEndian.Uint32(row[20:]))
	count := min(uint32(s.n)-group*groupLen, groupLen)
	end := uint64(begin) + uint64(count-1)*uint64(width)
	if width > 56 || end > s.lengthsLen*8 {
		return s.damaged(s.groups, "a group of offsets is out of bounds")
	}
	packed, err := s.pages.bytes(s.lengths+int64(begin/8), int64((end+7)/8)-int64(begin/8))
	if err != nil {
		return err
	}
	o.width, o.packed, o.group = width, bitReader{buf: packed, at: uint64(begin % 8)}, group+1
	return nil
}

// damaged is the error for content that is checked and makes no sense.
func (s *Sealed) damaged(content int64, reason string) error {
	return &DamageError{content/pageRoom*pageSize + content%pageRoom, reason}
}

// AtOrBefore returns bounds of the last position whose time is at or before t
// (Unix nanoseconds): it is at least low and at most high, which are less than
// 64 apart; low is First-1 if even the first record is later. The caller reads
// the records after low until one is later than t.
func (s *Sealed) AtOrBefore(t int64) (low, high driver.Position, err error) {
	if s.n == 0 || t < s.FirstTime() {
		return s.First() - 1, s.First() - 1, nil
	}
	if t >= s.LastTime() {
		return s.Last(), s.Last(), nil
	}
	// The first group at or before t is one; the last such is sought.
	begin, end := int64(0), int64(ceil(s.n, groupLen))
	for end-begin > 1 {
		middle := (begin + end) / 2
		row, err := s.pages.bytes(s.groups+middle*groupSize, 8)
		if err != nil {
			return 0, 0, err
		}
		if int64(binary.LittleEndian.Uint64(row)) <= t {
			begin = middle
		} else {
			end = middle
		}
	}
	low = s.First() + driver.Position(begin)*groupLen
	return low, min(low+groupLen-1, s.Last()), nil
}

// Verify reports whether the file is, byte for byte, what m would be sealed
// to with the same extra, m being made again from the segment's records: nil,
// or a *[DamageError] with the first page that differs.
func (s *Sealed) Verify(m *Mem) error {
	c := &comparer{r: s.pages.r, size: pagedSize(s.pages.size)}
	if err := m.Seal(c, s.extra); err != nil {
		return err
	}
	if c.at != c.size {
		return &DamageError{c.at, "the file goes on, though its segment has no more records"}
	}
	return nil
}

// comparer is a writer that fails where r has other bytes.
type comparer struct {
	r        io.ReaderAt
	at, size int64
}

func (c *comparer) Write(b []byte) (int, error) {
	have := make([]byte, len(b))
	if n, err := c.r.ReadAt(have, c.at); n < len(b) && err != io.EOF {
		return 0, err
	}
	if string(have) != string(b) {
		return 0, &DamageError{c.at, "the index is not that of its segment"}
	}
	c.at += int64(len(b))
	return len(b), nil
}
