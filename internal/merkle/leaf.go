package merkle

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/annals-db/annals/driver"
)

// Hasher makes leaves. It keeps its buffer from one to the next, so that it
// allocates nothing; the zero Hasher is ready. It is for one goroutine at a time.
type Hasher struct{ buf []byte }

// Leaf returns the leaf of r.
func (h *Hasher) Leaf(r *driver.Record) Hash {
	payload := sha256.Sum256(r.Data)
	h.buf = append(h.buf[:0], 0x00)
	h.buf = appendRecord(h.buf, r)
	h.buf = append(h.buf, payload[:]...)
	return sha256.Sum256(h.buf)
}

// appendRecord appends everything of r but its payload, as the table in the
// package documentation has it.
func appendRecord(b []byte, r *driver.Record) []byte {
	b = append(b, 0x01)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Position))
	b = appendText(b, r.Stream)
	b = binary.BigEndian.AppendUint64(b, r.Version)
	b = appendText(b, r.Type)
	b = appendText(b, r.Encoding)
	b = append(b, r.ID[:]...)
	taken := uint64(r.Time.UnixNano())
	occurred := taken
	if !r.Occurred.IsZero() {
		occurred = uint64(r.Occurred.UnixNano())
	}
	b = binary.BigEndian.AppendUint64(b, taken)
	b = binary.BigEndian.AppendUint64(b, occurred)
	b = appendTexts(b, r.Tags)
	b = appendLength(b, len(r.Metadata))
	for i := range r.Metadata {
		b = appendText(b, r.Metadata[i].Key)
		b = appendText(b, r.Metadata[i].Value)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Batch))
	b = appendLength(b, len(r.Conditions))
	for i := range r.Conditions {
		b = appendCondition(b, &r.Conditions[i])
	}
	return b
}

func appendCondition(b []byte, c *driver.Condition) []byte {
	b = append(b, byte(c.Kind))
	b = appendText(b, c.Stream)
	b = binary.BigEndian.AppendUint64(b, c.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(c.After))
	b = appendLength(b, len(c.Query.Items))
	for i := range c.Query.Items {
		item := &c.Query.Items[i]
		b = appendTexts(b, item.Types)
		b = appendTexts(b, item.Tags)
		b = appendTexts(b, item.Streams)
		b = appendText(b, item.Category)
		b = appendLength(b, len(item.IDs))
		for j := range item.IDs {
			b = append(b, item.IDs[j][:]...)
		}
	}
	return b
}

func appendTexts(b []byte, texts []string) []byte {
	b = appendLength(b, len(texts))
	for _, t := range texts {
		b = appendText(b, t)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(appendLength(b, len(s)), s...)
}

func appendLength(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(n))
}
