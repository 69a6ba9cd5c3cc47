package filestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/vfs"
)

// mark is the durable mark: up to where the log is known to be synced. The file
// "mark" has two slots, at bytes 0 and 4096, written in turn, so that one is
// always whole. The one with the higher sequence number counts.
//
//	 0  8  "annalmrk"
//	 8  8  sequence number of the mark
//	16  8  segment number
//	24  8  bytes of that segment that are durable
//	32  8  position of the last durable record, 0 if there is none
//	40  8  number of its group
//	48  8  its time, Unix nanoseconds
//	56  4  low word of the log ID
//	60  4  CRC32C of the 60 bytes before
//
// It is not synced, since losing it loses nothing: it only makes recovery sure
// that what it covers was acknowledged. Readers in other processes follow it.
type mark struct {
	sequence uint64
	segment  uint64
	offset   int64
	position driver.Position
	group    uint64
	time     int64
}

const (
	markSlot = 4096
	markSize = 64
)

var (
	markMagic = [8]byte{'a', 'n', 'n', 'a', 'l', 'm', 'r', 'k'}
	// errNoMark says that neither slot holds a mark.
	errNoMark = errors.New("the durable mark is unreadable")
)

func (m mark) append(b []byte, logID driver.ID) []byte {
	start := len(b)
	b = append(b, markMagic[:]...)
	for _, v := range [...]uint64{m.sequence, m.segment, uint64(m.offset), uint64(m.position), m.group, uint64(m.time)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, logID[12:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseMark(b []byte, logID driver.ID) (m mark, ok bool) {
	if len(b) < markSize || [8]byte(b) != markMagic || [4]byte(b[56:]) != [4]byte(logID[12:]) ||
		crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return mark{}, false
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return mark{
		sequence: word(8),
		segment:  word(16),
		offset:   int64(word(24)),
		position: driver.Position(word(32)),
		group:    word(40),
		time:     int64(word(48)),
	}, true
}

// markFile is the open file of the mark.
type markFile struct {
	file  vfs.File
	logID driver.ID
	last  uint64 // the sequence number last written
	buf   []byte
}

// read returns the newest mark and how many slots are whole; errNoMark if none is.
func (f *markFile) read() (newest mark, whole int, err error) {
	var b [markSize]byte
	for slot := range int64(2) {
		n, err := f.file.ReadAt(b[:], slot*markSlot)
		if n < markSize {
			if err != nil && !isEOF(err) {
				return mark{}, 0, err
			}
			continue
		}
		m, ok := parseMark(b[:], f.logID)
		if !ok {
			continue
		}
		if whole++; whole == 1 || m.sequence > newest.sequence {
			newest = m
		}
	}
	if whole == 0 {
		return mark{}, 0, errNoMark
	}
	return newest, whole, nil
}

// write writes m as the newest mark, without syncing it.
func (f *markFile) write(m mark) error {
	m.sequence = f.last + 1
	f.buf = m.append(f.buf[:0], f.logID)
	if _, err := f.file.WriteAt(f.buf, int64(m.sequence&1)*markSlot); err != nil {
		return err // the next goes to the same slot: the other one holds a mark that is whole
	}
	f.last = m.sequence
	return nil
}

// renew writes m into so many slots, one after the other, and makes it durable.
func (f *markFile) renew(m mark, slots int) error {
	for range slots {
		if err := f.write(m); err != nil {
			return err
		}
		if err := f.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}
