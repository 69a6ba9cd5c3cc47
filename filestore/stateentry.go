package filestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// stateEntry is the file of one key of the state:
//
//	 0  8  "annalsst"
//	 8  8  revision
//	16  4  bytes of the key
//	20     key, value
//	end 4  CRC32C of everything before
type stateEntry struct {
	revision uint64
	key      string
	value    []byte // aliases the bytes decoded
}

var stateMagic = [8]byte{'a', 'n', 'n', 'a', 'l', 's', 's', 't'}

func (e stateEntry) append(b []byte) []byte {
	start := len(b)
	b = append(b, stateMagic[:]...)
	b = binary.LittleEndian.AppendUint64(b, e.revision)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.key)))
	b = append(b, e.key...)
	b = append(b, e.value...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseStateEntry(b []byte) (stateEntry, error) {
	if len(b) < 24 || [8]byte(b) != stateMagic {
		return stateEntry{}, errors.New("it is not a value of the state")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return stateEntry{}, errors.New("its checksum does not match")
	}
	n := binary.LittleEndian.Uint32(body[16:])
	if uint64(n) > uint64(len(body)-20) {
		return stateEntry{}, errShort
	}
	return stateEntry{
		revision: binary.LittleEndian.Uint64(body[8:]),
		key:      string(body[20 : 20+n]),
		value:    body[20+n:],
	}, nil
}
