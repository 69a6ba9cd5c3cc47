package filestore

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/merkle"
)

// contents is what the groups of a segment amount to.
type contents struct {
	mem    *index.Mem
	hash   *merkle.Range // nil if hashes are not asked for
	head   driver.Position
	time   int64
	end    int64
	group  uint64
	newest driver.ID
}

// scanGroups adds groups to c as long as they are whole. stop says why it went
// no further; it is not nil. err is an error of the file system.
func (s *Store) scanGroups(sc *scanner, c *contents) (stop, err error) {
	var entries []index.Entry
	var hasher merkle.Hasher
	for {
		var rec driver.Record
		ok, err := sc.record(&rec)
		var damage *driver.CorruptError
		switch {
		case errors.As(err, &damage):
			return errors.New(damage.Reason), nil
		case err != nil:
			return nil, err
		case !ok:
			return errors.New("the segment ends"), nil
		}
		entries = append(entries, entryOf(&rec, sc.at()-sc.last))
		newer(&c.newest, rec.ID)
		if c.hash != nil {
			c.hash.Append(hasher.Leaf(&rec))
		}
		if sc.left > 0 {
			continue
		}
		if sc.at() != sc.groupEnd {
			return errors.New("the group's size is not as its header says"), nil
		}
		c.mem.Add(entries)
		entries = entries[:0]
		c.head, c.time, c.end, c.group = rec.Position, rec.Time.UnixNano(), sc.at(), sc.group.group
	}
}

// examine looks at what lies behind the last whole group of g, which ends at
// from: nothing, a torn append, or damage, which then is what stopped the scan
// at position p and byte offset.
func (l *loader) examine(g *segment, from int64, p driver.Position, offset int64, stop error) error {
	size, err := g.file.Size()
	if err != nil {
		return err
	}
	end := from // of what is not zero
	const block, overlap = 1 << 20, maxGroupHeader
	buf := make([]byte, min(block+overlap, max(size-from, 0)))
	for at := from; at < size; at += block {
		b := buf[:min(int64(len(buf)), size-at)]
		if err := readFull(g, b, at); err != nil {
			return err
		}
		if n := lastNonZero(b); n >= 0 {
			end = max(end, at+int64(n)+1)
		}
		if h, later := l.laterGroup(b, at, from); later > 0 {
			l.damage(g, p, offset, fmt.Sprintf("%s, but group %d with position %d lies behind it at byte %d", stop, h.group, h.first, later))
			return nil
		}
	}
	if end > from {
		if l.torn != nil {
			l.damage(g, l.v.head+1, from, "two segments end in a torn append")
			return nil
		}
		l.torn = &tear{g: g, from: from, to: end}
	}
	return nil
}

// laterGroup looks in b, the bytes at offset at, for the header of a group that
// comes after the one that would begin at from.
func (l *loader) laterGroup(b []byte, at, from int64) (h groupHeader, offset int64) {
	return l.s.findGroup(b, at, func(h groupHeader, offset int64) bool {
		own := offset == from || from == 0 && offset == segmentHeaderSize
		return !own && h.first > l.v.head+1 && h.group > l.v.group
	})
}

// findGroup looks in b, the bytes at offset at, for the first header of a group
// that fits; its offset is 0 if there is none.
func (s *Store) findGroup(b []byte, at int64, fits func(groupHeader, int64) bool) (h groupHeader, offset int64) {
	marker := []byte{groupMarker & 0xFF, groupMarker >> 8}
	for n := 0; ; n++ {
		i := bytes.Index(b[n:], marker)
		if i < 0 {
			return h, 0
		}
		n += i
		if h, _, err := parseGroupHeader(b[n:], s.seed); err == nil && fits(h, at+int64(n)) {
			return h, at + int64(n)
		}
	}
}

func lastNonZero(b []byte) int {
	for n := len(b) - 1; n >= 0; n-- {
		if b[n] != 0 {
			return n
		}
	}
	return -1
}
