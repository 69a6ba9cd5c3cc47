package filestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/annals-db/annals/driver"
)

// frame is one record on disk:
//
//	0  2  stamp of its group
//	2  4  CRC32C of the bytes after this field, plus a word of the position
//	6     bytes that follow this field: uvarint
//	      records of its batch before it: uvarint
//	      version within its stream, 0 without: uvarint
//	      time since the segment's base time in nanoseconds: uvarint
//	      body, see encodeBody
//
// The position is not stored. It is counted, and the checksum holds only at the
// right one, so a record in another's place is found.
type frame struct {
	stamp    uint16
	distance uint64
	version  uint64
	delta    uint64
	body     []byte // aliases the bytes decoded
}

var (
	errChecksum = errors.New("the record's checksum does not match")
	errFrame    = errors.New("the record's frame makes no sense")
)

// positionWord is what the checksum of the record at p is shifted by.
func positionWord(p driver.Position) uint32 {
	return uint32((uint64(p) * 0x9E3779B97F4A7C15) >> 32)
}

// appendFrame appends the frame of the record at p.
func appendFrame(b []byte, f frame, p driver.Position) []byte {
	var fields [3 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(fields[:], f.distance)
	n += binary.PutUvarint(fields[n:], f.version)
	n += binary.PutUvarint(fields[n:], f.delta)
	start := len(b)
	b = append(b, byte(f.stamp), byte(f.stamp>>8), 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(n+len(f.body)))
	b = append(b, fields[:n]...)
	b = append(b, f.body...)
	sum := crc32.Update(0, castagnoli, b[start+6:]) + positionWord(p)
	binary.LittleEndian.PutUint32(b[start+2:], sum)
	return b
}

// frameSize returns the size of the frame that b begins with, errShort if that
// cannot be told yet.
func frameSize(b []byte) (int64, error) {
	if len(b) < 7 {
		return 0, errShort
	}
	if l := b[6]; l < 0x80 {
		return 7 + int64(l), nil
	}
	l, k := binary.Uvarint(b[6:])
	switch {
	case k == 0:
		return 0, errShort
	case k < 0 || l > 1<<40:
		return 0, errFrame
	}
	return int64(6+k) + int64(l), nil
}

// parseFrame decodes b, one whole frame, and checks that it is that of the record at p.
func parseFrame(b []byte, p driver.Position) (f frame, err error) {
	if len(b) < minFrame {
		return f, errShort
	}
	if crc32.Update(0, castagnoli, b[6:])+positionWord(p) != binary.LittleEndian.Uint32(b[2:]) {
		return f, errChecksum
	}
	l, k := binary.Uvarint(b[6:])
	n := 6 + k
	if k <= 0 || l != uint64(len(b)-n) {
		return f, errFrame
	}
	f.stamp = binary.LittleEndian.Uint16(b)
	for _, v := range [...]*uint64{&f.distance, &f.version, &f.delta} {
		if n < len(b) && b[n] < 0x80 {
			*v, n = uint64(b[n]), n+1
			continue
		}
		value, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return f, errFrame
		}
		*v, n = value, n+k
	}
	if f.distance >= uint64(p) {
		return f, errFrame
	}
	f.body = b[n:]
	return f, nil
}
