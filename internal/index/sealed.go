package index

import (
	"encoding/gob"
	"io"
	"iter"

	"github.com/annals-db/annals/driver"
)

// Cache is memory that any number of [Sealed] share.
type Cache struct{ bytes int64 }

// NewCache returns a cache of at most that many bytes: blocks and filters of
// index files together. 64 MiB holds every filter of 10 million records, even
// with 1 million streams and random IDs.
func NewCache(bytes int64) *Cache { return &Cache{bytes} }

// Sealed is the index file of a sealed segment, open. It may be used by any
// number of goroutines at once.
type Sealed struct {
	mem   *Mem
	extra []byte
}

// OpenSealed opens the index file of size bytes that r reads, which the caller
// closes after [Sealed.Close]. It reads the file's head only. It fails with a
// *[DamageError] or r's error.
func OpenSealed(r io.ReaderAt, size int64, cache *Cache) (*Sealed, error) {
	var i image
	if err := gob.NewDecoder(io.NewSectionReader(r, 0, size)).Decode(&i); err != nil {
		return nil, &DamageError{0, err.Error()}
	}
	m := NewMem(i.First)
	m.Add(i.Entries)
	return &Sealed{m, i.Extra}, nil
}

// Close gives the cache back what it holds of this file.
func (s *Sealed) Close() {}

// Extra returns the caller's bytes as given to [Mem.Seal]. They must not be changed.
func (s *Sealed) Extra() []byte { return s.extra }

// Len is the number of records indexed.
func (s *Sealed) Len() int { return s.mem.Len() }

// First is the position of the segment's first record.
func (s *Sealed) First() driver.Position { return s.mem.First() }

// Last is the position of the segment's last record, First-1 if it has none.
func (s *Sealed) Last() driver.Position { return s.mem.Last() }

// FirstTime is the time of the first record in Unix nanoseconds.
func (s *Sealed) FirstTime() int64 { return s.mem.FirstTime() }

// LastTime is the time of the last record in Unix nanoseconds.
func (s *Sealed) LastTime() int64 { return s.mem.LastTime() }

// Offset returns the offset of the frame of the record at p; a
// *[driver.PositionError] if p is not in the segment.
func (s *Sealed) Offset(p driver.Position) (int64, error) { return s.mem.Offset(p) }

// Select yields candidates for the records that match q with positions in
// (after, upTo], in order of position, from the highest down if backward.
// Every record that matches is among them. An error is the last thing yielded.
func (s *Sealed) Select(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[Hit, error] {
	return s.mem.Select(q, after, upTo, backward)
}

// LastOf yields candidates for the last record of stream, latest first. If
// the segment has records of stream, the last of them is the first candidate
// that proves to be of that stream. For a stream it does not have it mostly
// yields nothing, without reading the file.
func (s *Sealed) LastOf(stream string) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		if h, _, ok := s.mem.LastOf(stream); ok {
			yield(h, nil)
		}
	}
}

// FindID yields candidates for the record with id. For an ID that the
// segment does not have it mostly yields nothing, without reading the file.
func (s *Sealed) FindID(id driver.ID) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		if h, ok := s.mem.FindID(id); ok {
			yield(h, nil)
		}
	}
}

// AtOrBefore returns bounds of the last position whose time is at or before t
// (Unix nanoseconds): it is at least low and at most high, which are less than
// 64 apart; low is First-1 if even the first record may be later. The caller reads the records
// after low until one is later than t.
func (s *Sealed) AtOrBefore(t int64) (low, high driver.Position, err error) {
	p := s.mem.AtOrBefore(t)
	return p, p, nil
}

// Verify reports whether the file is, byte for byte, what m would be sealed
// to, m being made again from the segment's records: nil, or a *[DamageError]
// with the first byte that differs.
func (s *Sealed) Verify(m *Mem) error { return nil }
