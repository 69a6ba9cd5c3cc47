package filestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/annals-db/annals/driver"
)

// FormatVersion is the version of the layout that this package writes, and the
// newest it reads.
const FormatVersion = 1

// Little-endian throughout; uvarint is that of encoding/binary. A frame is
// either the header of a group or a record. Its first two bytes tell which:
//
//	00 00   nothing has been written here yet
//	A6 47   a group header
//	other   a record's stamp
//
// A segment file is a header of 64 bytes and then groups without a gap; the
// rest, if the file was made ready ahead of use, is zeros.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	segmentHeaderSize = 64
	groupMarker       = 0x47A6
	maxGroupHeader    = 2 + 4 + 4 + 4*binary.MaxVarintLen64
	minFrame          = 2 + 4 + 1 + 3 + minBody
	maxFramePrefix    = 2 + 4 + binary.MaxVarintLen64
)

var segmentMagic = [8]byte{'a', 'n', 'n', 'a', 'l', 's', 'e', 'g'}

// errShort says that bytes end before what they hold does.
var errShort = errors.New("the bytes end too early")

// segmentHeader is what a segment file begins with:
//
//	 0  8  "annalseg"
//	 8  4  format version
//	12  4  number of the segment, from 1
//	16 16  log ID
//	32  8  position of the first record
//	40  8  base time, Unix nanoseconds: records count from it
//	48  8  number of the first group
//	56  4  0
//	60  4  CRC32C of the 60 bytes before
type segmentHeader struct {
	version  uint32
	number   uint32
	logID    driver.ID
	first    driver.Position
	baseTime int64
	group    uint64
}

func (h segmentHeader) append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.version)
	b = binary.LittleEndian.AppendUint32(b, h.number)
	b = append(b, h.logID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.baseTime))
	b = binary.LittleEndian.AppendUint64(b, h.group)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseSegmentHeader decodes b, of which segmentHeaderSize bytes are looked at.
func parseSegmentHeader(b []byte) (segmentHeader, error) {
	if len(b) < segmentHeaderSize {
		return segmentHeader{}, errShort
	}
	b = b[:segmentHeaderSize]
	if [8]byte(b) != segmentMagic {
		return segmentHeader{}, errors.New("it does not begin as a segment")
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return segmentHeader{}, errors.New("the segment header's checksum does not match")
	}
	return segmentHeader{
		version:  binary.LittleEndian.Uint32(b[8:]),
		number:   binary.LittleEndian.Uint32(b[12:]),
		logID:    driver.ID(b[16:32]),
		first:    driver.Position(binary.LittleEndian.Uint64(b[32:])),
		baseTime: int64(binary.LittleEndian.Uint64(b[40:])),
		group:    binary.LittleEndian.Uint64(b[48:]),
	}, nil
}

// groupHeader stands before the records that were written and synced together:
//
//	0  2  A6 47
//	2  4  CRC32C of the log ID and the bytes after this field
//	6  4  epoch: chosen at random each time the store is opened for writing
//	10    group number, position of the first record, number of records,
//	      bytes of the records: uvarint each
type groupHeader struct {
	epoch uint32
	group uint64 // counts 1, 2, 3 over the whole log
	first driver.Position
	count uint64
	size  uint64
}

// append appends h. seed is the CRC32C of the log's ID.
func (h groupHeader) append(b []byte, seed uint32) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint16(b, groupMarker)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, h.epoch)
	for _, v := range [...]uint64{h.group, uint64(h.first), h.count, h.size} {
		b = binary.AppendUvarint(b, v)
	}
	binary.LittleEndian.PutUint32(b[start+2:], crc32.Update(seed, castagnoli, b[start+6:]))
	return b
}

// parseGroupHeader decodes the header at the start of b and returns its length.
func parseGroupHeader(b []byte, seed uint32) (h groupHeader, n int, err error) {
	if len(b) < 10 {
		return h, 0, errShort
	}
	if binary.LittleEndian.Uint16(b) != groupMarker {
		return h, 0, errors.New("no group begins here")
	}
	h.epoch = binary.LittleEndian.Uint32(b[6:])
	n = 10
	var first uint64
	for _, v := range [...]*uint64{&h.group, &first, &h.count, &h.size} {
		value, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return h, 0, errShort
		}
		*v, n = value, n+k
	}
	h.first = driver.Position(first)
	if crc32.Update(seed, castagnoli, b[6:n]) != binary.LittleEndian.Uint32(b[2:]) {
		return h, 0, errors.New("the group header's checksum does not match")
	}
	if h.first == 0 || h.count == 0 || h.size < h.count*minFrame {
		return h, 0, errors.New("the group header makes no sense")
	}
	return h, n, nil
}

// stamp is what each record of the group begins with: it ties the record to
// the group and the epoch, so that one left over from another is not taken for it.
func (h groupHeader) stamp() uint16 {
	x := (uint64(h.epoch)<<32 | h.group&0xFFFFFFFF) * 0x9E3779B97F4A7C15
	s := uint16(x >> 48)
	if s == 0 || s == groupMarker {
		return 1
	}
	return s
}
