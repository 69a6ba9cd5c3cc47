// Package index finds records in a segment of a file store.
//
// [Mem] indexes the active segment while it grows. [Mem.Seal] writes the
// immutable index file of a segment that is full, [OpenSealed] opens it.
//
// Mem is exact: what it answers is so. [Sealed] is small instead: it keys by
// hashes and answers with candidates, among which is every record asked for
// and now and then another; the caller reads each and compares. Neither ever
// misses a record, and a damaged index file is a *[DamageError], never a
// wrong answer. An index file is a function of the segment's records and the
// caller's extra bytes, so that [Sealed.Verify] makes it again and compares.
//
// # The index file
//
// The file is content in pages of 4,096 bytes. All integers are little-endian.
//
//	page    4,092 bytes of content, fewer in the last page
//	        4     CRC32C of them, continued from the checksum (page number +
//	              low half of the seed) modulo 2^32, from 0 for page 0
//
// A record is known by its ordinal, its position less that of the segment's
// first record. n is the number of records, ceil(a/b) is a divided by b,
// rounded up. The content is these sections, one after the other:
//
//	header, 216 bytes
//	    8  "ANNALSX1"
//	    8  n
//	    8  position of the first record
//	    8  time of the first record, Unix nanoseconds
//	    8  time of the last record
//	    8  seed: the hash of the first record's ID, with its position as seed
//	    8  bytes of content
//	    8  bytes of extra
//	    8  bytes of lengths
//	    8  ordered IDs; if 0 the file has no ID ranges and no ID prints
//	   16  least and greatest time of the ordered IDs, Unix milliseconds
//	 5*24  for each dictionary: keys, bytes of lists, bytes of long lists
//	extra: the caller's
//	offsets: ceil(n/64) rows, one for each group of 64 records
//	    8  time of the group's first record
//	    8  offset of its frame in the segment
//	    4  the bit of the lengths where the group's begin
//	    4  w, bits of each
//	lengths: for each record but the last of its group, the distance to the
//	    next record's offset, in w bits
//	ID ranges: ceil(n/256) blocks of 256 records
//	  6+6  least and greatest time of the block's ordered IDs
//	ID prints: n bytes, the high byte of the hash of each record's ID
//	dictionaries of streams, types, categories, tags and stray IDs
//
// An ID is ordered if it is a UUID of version 7 and its time fits between those
// around it; all others are strays, each a key with one posting. A
// category is that of a stream with a dash in its name; a stream without one
// is its own category and listed with the streams only.
//
// A dictionary of k keys, sorted by their hashes, is empty if k is 0 and else
//
//	counts      4*(ceil(k/128)+1)  for each group of 128 buckets, the keys
//	                               before it; at last k
//	buckets     ceil(2k/8)         for each of k buckets a one-bit for each of
//	                               its keys and a zero-bit
//	remainders  ceil(12k/8)        12 bits for each key
//	samples     4*(ceil(k/32)+1)   the bit of the lists where those of every
//	                               32 keys begin; at last the bits of all
//	lists                          for each key gamma(count of postings); then
//	                               up to 16 postings: rice of each gap;
//	                               more: 40 bits, where in the long lists
//	long lists                     see below
//
// The bucket of a hash is the high half of hash*k, its remainder the highest 12
// bits of the low half. The first three sections are the filter that is kept
// in memory, 14.25 bits a key; a name that is absent passes it once in 4,096 times.
//
// A gap is what an ordinal exceeds the one before by, less one; the first is
// the ordinal itself. Its rice width is the number of bits of n/count less
// one, at least 0. A long list is
//
//	8*ceil(count/128)  for each block of 128 postings its first ordinal (4) and
//	                   the bit where the rest of it begins (4)
//	8                  the last ordinal, and the number of bits
//	                   the bits: rice of each gap but the first of a block
//
// Bits fill each byte from the lowest on, and a number's lowest bit comes first:
//
//	unary(q)    q zeros and a one
//	gamma(v)    unary(bits of v less one), then v without its highest bit
//	rice(v)     unary(v >> width), then the lowest width bits of v
//
// The hash, of names in UTF-8 and of IDs as 16 bytes: read as words of 8 bytes,
// the last one filled up with zeros, with fold(x, y) the high half of x*y
// exclusive-or the low half,
//
//	h = seed xor length*0x9e3779b97f4a7c15
//	h = fold(h xor word, 0xd6e8feb86659fd93) for each word
//	hash = fold(h xor 0xa0761d6478bd642f, 0x9e3779b97f4a7c15)
package index

import (
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Entry is what the index needs to know of a record.
type Entry struct {
	Position driver.Position // the one after the entry before
	Offset   int64           // of its frame in the segment; never less than that of the entry before
	Stream   string          // "" for none
	Version  uint64          // within the stream
	Type     string
	Tags     []string
	ID       driver.ID
	Time     int64 // Unix nanoseconds; never less than that of the entry before
}

// Hit is where a record is, or may be.
type Hit struct {
	Position driver.Position
	Offset   int64 // of its frame in the segment
}

// DamageError says where an index file is not what was written.
type DamageError struct {
	Offset int64 // in the index file
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("index file damaged at byte %d: %s", e.Offset, e.Reason)
}

func notIn(p, first driver.Position, n uint32) error {
	return &driver.PositionError{What: fmt.Sprintf("position %d in the segment from %d", p, first), Head: first + driver.Position(n) - 1}
}
