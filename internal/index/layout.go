package index

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The sections of an index file; the package documentation draws them.
const (
	magic = "ANNALSX1"

	groupLen  = 64 // records in a group of the offset table
	groupSize = 24 // bytes of a group's row

	idBlockLen  = 256 // records in a block of the ID ranges
	idBlockSize = 12  // bytes of a block's range

	bucketsPerGroup = 128 // buckets of a dictionary's filter between two counts
	remainderBits   = 12  // of a hash, below its bucket
	keysPerSample   = 32  // keys of a dictionary between two samples of where their postings are
	shortList       = 16  // postings kept in the short lists
	blockLen        = 128 // postings in a block of a long list
	skipSize        = 8   // bytes of a block's entry in a long list's skip table
	pointerBits     = 40  // of a long list's place in its section

	noRecords = math.MaxUint32 // more records than a segment may have
)

// The dictionaries, in the order of the file.
const (
	streamNames = iota
	typeNames
	categoryNames
	tagNames
	strayIDs
	dictionaries
)

// header is the beginning of the content of an index file: magic, then these
// fields in this order, 8 bytes each, little-endian.
type header struct {
	n, first            uint64
	firstTime, lastTime uint64 // of the records, two's complement
	seed                uint64 // of the hashes
	size                uint64 // of the content
	extraLen            uint64
	lengthsLen          uint64
	orderedIDs          uint64 // 0: no ID ranges and fingerprints
	idMin, idMax        uint64 // times of the ordered IDs, Unix milliseconds
	dict                [dictionaries]dictHeader
}

type dictHeader struct{ keys, postingsLen, longLen uint64 }

const headerSize = 8 + 8*(11+3*dictionaries)

func (h *header) fields() []*uint64 {
	f := []*uint64{&h.n, &h.first, &h.firstTime, &h.lastTime, &h.seed, &h.size, &h.extraLen, &h.lengthsLen, &h.orderedIDs, &h.idMin, &h.idMax}
	for i := range h.dict {
		d := &h.dict[i]
		f = append(f, &d.keys, &d.postingsLen, &d.longLen)
	}
	return f
}

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	for _, f := range h.fields() {
		b = binary.LittleEndian.AppendUint64(b, *f)
	}
	return b
}

// decodeHeader reads a header and places the sections, whose sizes must come
// to that of the content.
func decodeHeader(b []byte) (h header, s sections, err error) {
	if len(b) < headerSize {
		return h, s, &DamageError{0, "the file is too short"}
	}
	if string(b[:len(magic)]) != magic {
		return h, s, &DamageError{0, fmt.Sprintf("it begins with %q, not %q", b[:len(magic)], magic)}
	}
	for i, f := range h.fields() {
		*f = binary.LittleEndian.Uint64(b[8+8*i:])
	}
	limits := []uint64{h.extraLen, h.lengthsLen, h.size}
	for _, d := range h.dict {
		limits = append(limits, d.postingsLen, d.longLen)
		if d.keys >= noRecords {
			return h, s, &DamageError{0, "the header counts too many names"}
		}
	}
	for _, l := range limits {
		if l > 1<<50 {
			return h, s, &DamageError{0, "the header gives a section too large"}
		}
	}
	if h.n >= noRecords || h.orderedIDs > h.n {
		return h, s, &DamageError{0, "the header counts too many records"}
	}
	s = h.place()
	if s.end != int64(h.size) {
		return h, s, &DamageError{0, fmt.Sprintf("the sections come to %d bytes, not %d", s.end, h.size)}
	}
	return h, s, nil
}

// sections is where in the content each section begins.
type sections struct {
	extra, groups, lengths, ranges, prints int64
	dict                                   [dictionaries]dictSections
	end                                    int64
}

type dictSections struct{ counts, buckets, remainders, samples, postings, long int64 }

func (h *header) place() (s sections) {
	at := int64(headerSize)
	next := func(size uint64) int64 {
		begin := at
		at += int64(size)
		return begin
	}
	s.extra = next(h.extraLen)
	s.groups = next(ceil(h.n, groupLen) * groupSize)
	s.lengths = next(h.lengthsLen)
	if h.orderedIDs > 0 {
		s.ranges = next(ceil(h.n, idBlockLen) * idBlockSize)
		s.prints = next(h.n)
	}
	for i := range h.dict {
		d := &h.dict[i]
		if d.keys > 0 {
			s.dict[i] = dictSections{
				counts:     next(4 * (ceil(d.keys, bucketsPerGroup) + 1)),
				buckets:    next(ceil(2*d.keys, 8)),
				remainders: next(ceil(remainderBits*d.keys, 8)),
				samples:    next(4 * (ceil(d.keys, keysPerSample) + 1)),
				postings:   next(d.postingsLen),
				long:       next(d.longLen),
			}
		}
	}
	s.end = at
	return s
}

func ceil(n, unit uint64) uint64 { return (n + unit - 1) / unit }
