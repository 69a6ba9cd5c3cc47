package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/annals-db/annals/driver"
)

// FormatVersion is the version of the messages that this package writes, and
// the newest it reads.
const FormatVersion = 1

// message is one message of the stream, integers little-endian:
//
//	  0  4  "annr"
//	  4  1  version of this table, 1
//	  5  1  kind: 1 claim, 2 group
//	  6  2  0
//	  8 16  log ID
//	 24  8  epoch: the sequencer's number; each claim has a greater one
//	 32  8  after: the stream's sequence that its author published it behind
//	 40  8  first: the position that comes next in the log
//	 48 32  tree head over everything before first
//	 80  4  part, from 0
//	 84  4  parts of the group, at least 1
//	 88     body: of a claim see claim, of a group its part of what group draws
//	end  4  CRC32C of everything before
type message struct {
	kind  byte
	logID driver.ID
	epoch uint64
	after uint64
	first driver.Position
	head  [32]byte
	part  uint32
	parts uint32
	body  []byte // aliases the bytes decoded
}

const (
	claimKind byte = 1
	groupKind byte = 2

	messageHeader  = 88
	messageTrailer = 4
)

var (
	messageMagic = [4]byte{'a', 'n', 'n', 'r'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errForeign   = errors.New("it is not of an Annals log")
)

// versionError says that a message is of a version that this package does not know.
type versionError struct{ version byte }

func (e *versionError) Error() string {
	return fmt.Sprintf("it is of version %d, and this version of Annals reads versions up to %d: upgrade this node", e.version, FormatVersion)
}

func (m *message) append(b []byte) []byte {
	start := len(b)
	b = append(b, messageMagic[:]...)
	b = append(b, FormatVersion, m.kind, 0, 0)
	b = append(b, m.logID[:]...)
	for _, v := range [...]uint64{m.epoch, m.after, uint64(m.first)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, m.head[:]...)
	b = binary.LittleEndian.AppendUint32(b, m.part)
	b = binary.LittleEndian.AppendUint32(b, m.parts)
	b = append(b, m.body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseMessage decodes b. What is no message of an Annals log is errForeign,
// one of a later version a *versionError.
func parseMessage(b []byte) (message, error) {
	if len(b) < messageHeader+messageTrailer || [4]byte(b) != messageMagic {
		return message{}, errForeign
	}
	if b[4] != FormatVersion {
		return message{}, &versionError{b[4]}
	}
	end := len(b) - messageTrailer
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return message{}, fmt.Errorf("%w: its checksum does not match", errForeign)
	}
	m := message{
		kind:  b[5],
		logID: driver.ID(b[8:24]),
		epoch: binary.LittleEndian.Uint64(b[24:]),
		after: binary.LittleEndian.Uint64(b[32:]),
		first: driver.Position(binary.LittleEndian.Uint64(b[40:])),
		head:  [32]byte(b[48:80]),
		part:  binary.LittleEndian.Uint32(b[80:]),
		parts: binary.LittleEndian.Uint32(b[84:]),
		body:  b[messageHeader:end],
	}
	if m.kind != claimKind && m.kind != groupKind || b[6] != 0 || b[7] != 0 || m.part >= m.parts || m.kind == claimKind && m.parts != 1 || m.first == 0 {
		return message{}, fmt.Errorf("%w: its header makes no sense", errForeign)
	}
	return m, nil
}

// claim is the body of a message by which a node becomes the sequencer:
//
//	16  the node's ID, chosen at random each time it is opened
//	    its name: text
type claim struct {
	node nodeID
	name string
}

func (c claim) append(b []byte) []byte { return appendText(append(b, c.node[:]...), c.name) }

func parseClaim(b []byte) (c claim, err error) {
	d := decoder{b: b}
	copy(c.node[:], d.bytes(16))
	c.name = d.text()
	return c, d.end()
}

// group is what the parts of a group's messages, joined, hold:
//
//	32  tree head over everything up to the last record
//	    batches: uvarint count, each:
//	      time, 8: Unix nanoseconds
//	      events: uvarint count, at least 1
//	      conditions: see appendConditions
//	      events, each: version, uvarint, and the event: see appendEvent
//
// Positions are counted from the message's first.
type group struct {
	head    [32]byte
	records []driver.Record
}

// appendGroup appends records, whole batches. Their tree head goes to the
// first 32 bytes, which are left zero.
func appendGroup(b []byte, records []driver.Record) []byte {
	b = append(b, make([]byte, 32)...)
	batches := 0
	for i := range records {
		if records[i].Position == records[i].Batch {
			batches++
		}
	}
	b = binary.AppendUvarint(b, uint64(batches))
	for start := 0; start < len(records); {
		end := start + 1
		for end < len(records) && records[end].Batch == records[start].Batch {
			end++
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(records[start].Time.UnixNano()))
		b = binary.AppendUvarint(b, uint64(end-start))
		b = appendConditions(b, records[start].Conditions)
		for i := start; i < end; i++ {
			b = binary.AppendUvarint(b, records[i].Version)
			b = appendEvent(b, &records[i].Event)
		}
		start = end
	}
	return b
}

// parseGroup decodes b, whose first record is at position first. The records alias b.
func parseGroup(b []byte, first driver.Position) (g group, err error) {
	d := decoder{b: b}
	copy(g.head[:], d.bytes(32))
	p := first
	for range d.count(10) {
		at := unixNano(int64(d.uint64()))
		n := d.count(minEvent)
		conditions := d.conditions()
		batch := p
		for i := range n {
			r := driver.Record{Position: p, Batch: batch, Time: at, Version: d.uvarint()}
			d.event(&r.Event)
			if i == 0 {
				r.Conditions = conditions
			}
			if d.bad {
				return group{}, errDecode
			}
			g.records = append(g.records, r)
			p++
		}
		if n == 0 {
			return group{}, errDecode
		}
	}
	if len(g.records) == 0 {
		return group{}, errDecode
	}
	return g, d.end()
}
