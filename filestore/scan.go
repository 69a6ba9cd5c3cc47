package filestore

import (
	"encoding/binary"
	"errors"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/mutant"
)

// scanner reads the records of a segment one after the other, in large blocks
// of fresh memory that the records alias.
type scanner struct {
	s      *Store
	g      *segment
	end    int64           // bytes of the segment that may be read
	next   driver.Position // of the record to come
	start  int64           // offset in the file of buf[0]
	buf    []byte
	pos    int // in buf, of the frame to come
	size   int // of the next block
	group  groupHeader
	left   uint64 // records of the group to come; not known before the first header
	within bool   // a header has been read
	// groupEnd is where the records of the group end, as its header says.
	groupEnd int64
	last     int64 // bytes of the frame read last
	dec      decoder
}

const (
	firstScanBlock = 16 << 10
	scanBlock      = 256 << 10
)

// scanFrom returns a scanner of segment i of v whose first record is the one at p.
func (s *Store) scanFrom(v *view, i int, p driver.Position) (*scanner, error) {
	g := v.segments[i]
	offset := int64(segmentHeaderSize)
	if p > g.header.first {
		var err error
		if offset, err = g.offset(p); err != nil {
			return nil, err
		}
	}
	return s.scanAt(g, offset, v.endOf(i), p), nil
}

// scanAt returns a scanner of g from offset, where the record at p or the
// header of a group that begins with it is.
func (s *Store) scanAt(g *segment, offset, end int64, p driver.Position) *scanner {
	return &scanner{s: s, g: g, end: end, next: p, start: offset, size: firstScanBlock}
}

// at is the offset in the file of the frame to come.
func (sc *scanner) at() int64 { return sc.start + int64(sc.pos) }

// fill reads the next block, from the frame to come on, of at least need bytes
// if the segment has them.
func (sc *scanner) fill(need int64) error {
	start := sc.at()
	size := min(max(int64(sc.size), need), sc.end-start)
	if size < need {
		return errShort
	}
	sc.size = min(4*sc.size, scanBlock)
	buf := make([]byte, size)
	if err := readFull(sc.g, buf, start); err != nil {
		return err
	}
	sc.start, sc.buf, sc.pos = start, buf, 0
	return nil
}

// frame returns the next record's frame; nil at the end of the segment.
func (sc *scanner) frame() ([]byte, error) {
	for {
		if sc.at() >= sc.end {
			if sc.within && sc.left > 0 {
				return nil, errShort
			}
			return nil, nil
		}
		b := sc.buf[sc.pos:]
		if len(b) >= 2 && binary.LittleEndian.Uint16(b) == groupMarker {
			if again, err := sc.header(b); err != nil {
				return nil, err
			} else if again {
				continue
			}
		}
		size, err := frameSize(sc.buf[sc.pos:])
		if err == nil && size <= int64(len(sc.buf)-sc.pos) {
			b = sc.buf[sc.pos:][:size:size]
			return b, sc.expect(b)
		}
		if err != nil && !errors.Is(err, errShort) {
			return nil, err
		}
		need := int64(len(sc.buf)-sc.pos) + 1
		if err == nil {
			need = size
		}
		if err := sc.fill(need); err != nil {
			return nil, err
		}
	}
}

// header reads the group header that b begins with. again says that a further
// block had to be read for it.
func (sc *scanner) header(b []byte) (again bool, err error) {
	h, n, err := parseGroupHeader(b, sc.s.seed)
	if errors.Is(err, errShort) && sc.at()+int64(len(b)) < sc.end {
		return true, sc.fill(int64(len(b)) + 1)
	}
	if err != nil {
		return false, groupError{err}
	}
	if h.first != sc.next || sc.within && (sc.left != 0 || h.group <= sc.group.group) {
		return false, groupError{errOrder}
	}
	if sc.within && sc.at() != sc.groupEnd {
		return false, groupError{errOrder}
	}
	sc.group, sc.left, sc.within = h, h.count, true
	sc.pos += n
	sc.groupEnd = sc.at() + int64(h.size)
	return true, nil
}

// expect checks that the frame b may come next in its group.
func (sc *scanner) expect(b []byte) error {
	stamp := binary.LittleEndian.Uint16(b)
	if !sc.within {
		// The scan began within a group, whose header it has not seen.
		return nil
	}
	if sc.left == 0 || stamp != sc.group.stamp() && !mutant.KeepDebris {
		return groupError{errStamp}
	}
	sc.left--
	return nil
}

var (
	errOrder = errors.New("a group is missing or out of order")
	errStamp = errors.New("the record belongs to another group")
)

// groupError is damage to the order of groups. It is a kind of errFrame.
type groupError struct{ reason error }

func (e groupError) Error() string { return e.reason.Error() }
func (groupError) Is(t error) bool { return t == errFrame }

// record decodes the next record into rec, which is zero; ok is false at the
// end of the segment.
func (sc *scanner) record(rec *driver.Record) (ok bool, err error) {
	offset := sc.at()
	b, err := sc.frame()
	if err == nil && b != nil {
		offset = sc.at()
		err = decodeRecord(b, sc.next, sc.g.header.baseTime, &sc.dec, rec)
	}
	if err != nil {
		return false, sc.g.readError(sc.next, offset, err)
	}
	if b == nil {
		return false, nil
	}
	sc.pos += len(b)
	sc.last = int64(len(b))
	sc.next++
	return true, nil
}
