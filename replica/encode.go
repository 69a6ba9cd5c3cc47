package replica

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/annals-db/annals/driver"
)

// In messages a text is its length in bytes, uvarint, and its UTF-8; a list is
// its length, uvarint, and its elements.

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

// appendTime appends a flag of 1 byte, 0 for the zero time, else 1 and Unix nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.LittleEndian.AppendUint64(append(b, 1), uint64(t.UnixNano()))
}

// appendEvent appends e:
//
//	16  ID
//	    stream, type, encoding: text
//	    tags: list of texts
//	    metadata: list of two texts, key and value
//	    occurred: see appendTime
//	    data: uvarint length, bytes
func appendEvent(b []byte, e *driver.Event) []byte {
	b = append(b, e.ID[:]...)
	b = appendText(b, e.Stream)
	b = appendText(b, e.Type)
	b = appendText(b, e.Encoding)
	b = appendTexts(b, e.Tags)
	b = binary.AppendUvarint(b, uint64(len(e.Metadata)))
	for _, p := range e.Metadata {
		b = appendText(appendText(b, p.Key), p.Value)
	}
	b = appendTime(b, e.Occurred)
	b = binary.AppendUvarint(b, uint64(len(e.Data)))
	return append(b, e.Data...)
}

const minEvent = 16 + 7

// appendConditions appends a list of conditions, each:
//
//	1  kind
//	   stream kinds: stream, text; version, uvarint
//	   none after: position, uvarint; list of items, each:
//	     types, tags, streams: lists of texts; category: text; IDs: list of 16 bytes each
func appendConditions(b []byte, conditions []driver.Condition) []byte {
	b = binary.AppendUvarint(b, uint64(len(conditions)))
	for i := range conditions {
		c := &conditions[i]
		b = append(b, byte(c.Kind))
		if c.Kind != driver.NoneAfterKind {
			b = binary.AppendUvarint(appendText(b, c.Stream), c.Version)
			continue
		}
		b = binary.AppendUvarint(b, uint64(c.After))
		b = binary.AppendUvarint(b, uint64(len(c.Query.Items)))
		for j := range c.Query.Items {
			item := &c.Query.Items[j]
			b = appendTexts(b, item.Types)
			b = appendTexts(b, item.Tags)
			b = appendTexts(b, item.Streams)
			b = appendText(b, item.Category)
			b = binary.AppendUvarint(b, uint64(len(item.IDs)))
			for _, id := range item.IDs {
				b = append(b, id[:]...)
			}
		}
	}
	return b
}

var errDecode = errors.New("its bytes make no sense")

// decoder reads fields off the front of b. After the first that is not there,
// bad is set and every further one is empty.
type decoder struct {
	b   []byte
	bad bool
}

// end returns an error unless everything was there and nothing is left.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errDecode
	}
	return nil
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads the length of a list whose elements have at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string { return string(d.bytes(d.uvarint())) }

func (d *decoder) texts() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.text()
	}
	return out
}

func (d *decoder) time() time.Time {
	switch d.byte() {
	case 0:
		return time.Time{}
	case 1:
		return unixNano(int64(d.uint64()))
	}
	d.fail()
	return time.Time{}
}

func unixNano(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func (d *decoder) event(e *driver.Event) {
	copy(e.ID[:], d.bytes(16))
	e.Stream, e.Type, e.Encoding = d.text(), d.text(), d.text()
	e.Tags = d.texts()
	if n := d.count(2); n > 0 {
		e.Metadata = make(driver.Metadata, n)
		for i := range e.Metadata {
			e.Metadata[i] = driver.Pair{Key: d.text(), Value: d.text()}
		}
	}
	e.Occurred = d.time()
	e.Data = d.bytes(d.uvarint())
}

func (d *decoder) conditions() []driver.Condition {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	out := make([]driver.Condition, n)
	for i := range out {
		c := &out[i]
		c.Kind = driver.ConditionKind(d.byte())
		if c.Kind != driver.NoneAfterKind {
			c.Stream, c.Version = d.text(), d.uvarint()
			continue
		}
		c.After = driver.Position(d.uvarint())
		if items := d.count(5); items > 0 {
			c.Query.Items = make([]driver.Item, items)
		}
		for j := range c.Query.Items {
			c.Query.Items[j] = driver.Item{Types: d.texts(), Tags: d.texts(), Streams: d.texts(), Category: d.text(), IDs: d.ids()}
		}
	}
	return out
}

func (d *decoder) ids() []driver.ID {
	n := d.count(16)
	if n == 0 {
		return nil
	}
	out := make([]driver.ID, n)
	for i := range out {
		copy(out[i][:], d.bytes(16))
	}
	return out
}
