package index

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// filter is a part of the content that is kept in memory from its first use
// on if the cache has room for it, and else read through the pages.
type filter struct {
	s    *Sealed
	at   int64
	size int64

	mu      sync.Mutex
	refused bool
	kept    atomic.Pointer[[]byte]
}

// bytes returns n bytes from at on, at being relative to the filter.
func (f *filter) bytes(at, n int64) ([]byte, error) {
	kept := f.kept.Load()
	if kept == nil {
		var err error
		if kept, err = f.load(); err != nil {
			return nil, err
		}
	}
	if kept == nil {
		return f.s.pages.bytes(f.at+at, n)
	}
	return (*kept)[at : at+n], nil
}

// load keeps the filter. It returns nil if the cache has no room.
func (f *filter) load() (*[]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kept := f.kept.Load(); kept != nil || f.refused {
		return kept, nil
	}
	if !f.s.pages.cache.reserve(f.size) {
		f.refused = true
		return nil, nil
	}
	b, err := f.s.pages.load(f.at, f.size)
	if err != nil {
		f.s.pages.cache.filters.Add(-f.size)
		return nil, err
	}
	f.s.kept.Add(f.size)
	f.kept.Store(&b)
	return &b, nil
}

// dictionary finds the postings of names, or of stray IDs, by their hashes.
type dictionary struct {
	s *Sealed
	dictHeader
	dictSections
	filter filter
}

func newDictionary(s *Sealed, which int) *dictionary {
	d := &dictionary{s: s, dictHeader: s.header.dict[which], dictSections: s.sections.dict[which]}
	d.filter.s, d.filter.at, d.filter.size = s, d.counts, d.samples-d.counts
	return d
}

// find returns the lists of the keys that may be name, mostly one, or none.
func (d *dictionary) find(name string) ([]list, error) {
	if d.keys == 0 {
		return nil, nil
	}
	begin, end, err := d.ranks(hash(d.s.seed, name))
	if err != nil || begin == end {
		return nil, err
	}
	lists := make([]list, 0, end-begin)
	for rank := begin; rank < end; rank++ {
		l, err := d.list(rank)
		if err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	return lists, nil
}

// ranks returns the ranks of the keys whose hashes begin like h.
func (d *dictionary) ranks(h uint64) (begin, end uint64, err error) {
	bucket, remainder := bucketOf(h, d.keys)
	begin, end, err = d.bucket(bucket)
	if err != nil || begin == end {
		return 0, 0, err
	}
	first := begin * remainderBits
	b, err := d.filter.bytes(d.remainders-d.counts+int64(first/8), int64((end*remainderBits+7)/8-first/8))
	if err != nil {
		return 0, 0, err
	}
	r := bitReader{buf: b, at: first % 8}
	from, to := end, end
	for rank := begin; rank < end; rank++ {
		switch v := r.read(remainderBits); {
		case v == remainder && from == end:
			from = rank
		case v > remainder:
			to = rank
			return min(from, to), to, nil
		}
	}
	return from, to, nil
}

// bucket returns the ranks of the keys of a bucket.
func (d *dictionary) bucket(bucket uint64) (begin, end uint64, err error) {
	group := bucket / bucketsPerGroup
	b, err := d.filter.bytes(int64(group)*4, 8)
	if err != nil {
		return 0, 0, err
	}
	rank, next := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if rank > next || next > d.keys {
		return 0, 0, d.s.damaged(d.counts, "the counts of a dictionary are out of order")
	}
	// A group's bits begin after a one for each key and a zero for each bucket before it.
	first := rank + group*bucketsPerGroup
	last := next + min((group+1)*bucketsPerGroup, d.keys)
	b, err = d.filter.bytes(d.buckets-d.counts+int64(first/8), int64((last+7)/8-first/8))
	if err != nil {
		return 0, 0, err
	}
	r := bitReader{buf: b, at: first % 8}
	rank += r.skipZeros(bucket % bucketsPerGroup)
	end = rank + r.ones()
	if r.short || end > next {
		return 0, 0, d.s.damaged(d.buckets, "a group of buckets is not as counted")
	}
	return rank, end, nil
}
