package filestore

import (
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/vfs"
)

const (
	segmentSuffix = ".seg"
	indexSuffix   = ".idx"
)

// segment is one segment file, open, with its index.
type segment struct {
	number uint64
	header segmentHeader
	file   vfs.File
	name   string
	zeroed int64 // bytes that are in use or known to be zero; the writer's own
	end    int64 // bytes in use; set when the next segment is begun
	index  atomic.Pointer[segmentIndex]
	blocks blockTable
}

// segmentIndex is the index of a segment: mem until its index file is written.
type segmentIndex struct {
	mem    *index.Mem
	sealed *index.Sealed
	file   vfs.File // of sealed
}

func (s *Store) segmentName(number uint64) string {
	return fmt.Sprintf("%s/%s/%010d%s", s.dir, logDir, number, segmentSuffix)
}

// sizeOf returns the size at which segment number is full. The first ones are
// smaller: the first cannot be zeroed ahead of use, and a small log should not
// take much of the disk for what may never come.
func (s *Store) sizeOf(number uint64) int64 {
	const first = 4 << 20
	return min(s.opts.SegmentBytes, first<<min(number-1, 20))
}

func indexName(segmentName string) string {
	return strings.TrimSuffix(segmentName, segmentSuffix) + indexSuffix
}

// segmentNumber returns the number in the name of a segment or index file.
func segmentNumber(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, err == nil && n > 0
}

// find returns the number of the segment in which p is or would be.
func (v *view) find(p driver.Position) int {
	return sort.Search(len(v.segments), func(i int) bool { return v.segments[i].header.first > p }) - 1
}

// corrupt returns the error for damage at offset of the segment, found where
// the record at p should be.
func (g *segment) corrupt(p driver.Position, offset int64, reason string) *driver.CorruptError {
	return &driver.CorruptError{Position: p, Place: fmt.Sprintf("%s, byte %d", g.name, offset), Reason: reason}
}

// damagedIndex returns the error for a damaged index file of the segment.
func (g *segment) damagedIndex(err error) error {
	if damage, ok := err.(*index.DamageError); ok {
		return &driver.CorruptError{Position: g.header.first, Place: indexName(g.name), Reason: damage.Error() + "; rebuild it from the segment"}
	}
	return err
}

// offset returns where the frame of the record at p is.
func (g *segment) offset(p driver.Position) (int64, error) {
	if x := g.index.Load(); x.sealed != nil {
		at, err := x.sealed.Offset(p)
		return at, g.damagedIndex(err)
	} else {
		return x.mem.Offset(p)
	}
}

// hits yields the candidates for q in (after, upTo].
func (g *segment) hits(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[index.Hit, error] {
	if x := g.index.Load(); x.sealed != nil {
		return x.sealed.Select(q, after, upTo, backward)
	} else {
		return x.mem.Select(q, after, upTo, backward)
	}
}
