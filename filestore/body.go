package filestore

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"github.com/annals-db/annals/driver"
)

// The body of a record is the event as its producer gave it. A caller encodes
// it before the writer knows position, version and time.
//
//	flags         1   which of the optional fields there are
//	ID           16
//	stream            text: uvarint length, bytes
//	type              text
//	[1] occurred  8   Unix nanoseconds
//	[2] encoding      text
//	[4] tags          uvarint count, then texts
//	[8] metadata      uvarint count, then keys and values, texts
//	[16] conditions   see appendConditions
//	data              the rest
const (
	hasOccurred = 1 << iota
	hasEncoding
	hasTags
	hasMetadata
	hasConditions

	minBody = 1 + 16 + 2
)

var errBody = errors.New("the record's body makes no sense")

// appendBody appends the body of e, with the conditions of its batch if it is the first.
func appendBody(b []byte, e *driver.Event, conditions []driver.Condition) []byte {
	var flags byte
	if !e.Occurred.IsZero() {
		flags |= hasOccurred
	}
	if e.Encoding != "" {
		flags |= hasEncoding
	}
	if len(e.Tags) > 0 {
		flags |= hasTags
	}
	if len(e.Metadata) > 0 {
		flags |= hasMetadata
	}
	if len(conditions) > 0 {
		flags |= hasConditions
	}
	b = append(b, flags)
	b = append(b, e.ID[:]...)
	b = appendText(b, e.Stream)
	b = appendText(b, e.Type)
	if flags&hasOccurred != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Occurred.UnixNano()))
	}
	if flags&hasEncoding != 0 {
		b = appendText(b, e.Encoding)
	}
	if flags&hasTags != 0 {
		b = appendTexts(b, e.Tags)
	}
	if flags&hasMetadata != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Metadata)))
		for _, p := range e.Metadata {
			b = appendText(appendText(b, p.Key), p.Value)
		}
	}
	if flags&hasConditions != 0 {
		b = appendConditions(b, conditions)
	}
	return append(b, e.Data...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// decoder decodes bodies without copying them: strings and payloads alias the
// bytes, which must never change. Its slabs save an allocation for each slice.
type decoder struct {
	texts       []string
	pairs       []driver.Pair
	conditioned []driver.Condition
	items       []driver.Item
}

// event decodes body into r.
func (d *decoder) event(body []byte, r *driver.Record) error {
	if len(body) < minBody {
		return errBody
	}
	c := cursor{b: body[17:]}
	flags := body[0]
	copy(r.ID[:], body[1:17])
	r.Stream = c.text()
	r.Type = c.text()
	if flags&hasOccurred != 0 {
		r.Occurred = unixNano(int64(c.uint64()))
	}
	if flags&hasEncoding != 0 {
		r.Encoding = c.text()
	}
	if flags&hasTags != 0 {
		r.Tags = d.list(&c)
	}
	if flags&hasMetadata != 0 {
		r.Metadata = d.metadata(&c)
	}
	if flags&hasConditions != 0 {
		r.Conditions = d.conditions(&c)
	}
	if c.bad || flags >= hasConditions<<1 {
		return errBody
	}
	r.Data = c.b[:len(c.b):len(c.b)]
	return nil
}

// list carves a list of texts out of the slab.
func (d *decoder) list(c *cursor) []string {
	n := c.count(1)
	if n == 0 {
		return nil
	}
	if n > cap(d.texts)-len(d.texts) {
		d.texts = make([]string, 0, max(n, min(2*cap(d.texts)+8, 1024)))
	}
	start := len(d.texts)
	for range n {
		d.texts = append(d.texts, c.text())
	}
	return d.texts[start:len(d.texts):len(d.texts)]
}

func (d *decoder) metadata(c *cursor) driver.Metadata {
	n := c.count(2)
	if n > cap(d.pairs)-len(d.pairs) {
		d.pairs = make([]driver.Pair, 0, max(n, min(2*cap(d.pairs)+4, 512)))
	}
	start := len(d.pairs)
	for range n {
		d.pairs = append(d.pairs, driver.Pair{Key: c.text(), Value: c.text()})
	}
	return driver.Metadata(d.pairs[start:len(d.pairs):len(d.pairs)])
}

// cursor reads fields off the front of b; after the first that is not there,
// bad is set and every further one is empty.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		v := uint64(c.b[0])
		c.b = c.b[1:]
		return v
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count reads the length of a list whose elements have at least size bytes each.
func (c *cursor) count(size int) int {
	n := c.uvarint()
	if n > uint64(len(c.b)/size) {
		c.bad, c.b = true, nil
		return 0
	}
	return int(n)
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

// text reads a text that aliases the bytes.
func (c *cursor) text() string {
	b := c.bytes(c.uvarint())
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (c *cursor) uint64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func unixNano(ns int64) time.Time { return time.Unix(0, ns).UTC() }
