package filestore

import (
	"encoding/binary"

	"github.com/annals-db/annals/driver"
)

// appendConditions appends what a batch required, for the record's body:
//
//	count         uvarint
//	each: kind    1
//	  stream kinds: stream, text; version, uvarint
//	  none after:   position, uvarint; items, uvarint count, each:
//	    types, tags, streams: lists of texts; category, text;
//	    IDs, uvarint count, 16 bytes each
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
			b = appendItem(b, &c.Query.Items[j])
		}
	}
	return b
}

func appendItem(b []byte, i *driver.Item) []byte {
	b = appendTexts(b, i.Types)
	b = appendTexts(b, i.Tags)
	b = appendTexts(b, i.Streams)
	b = appendText(b, i.Category)
	b = binary.AppendUvarint(b, uint64(len(i.IDs)))
	for _, id := range i.IDs {
		b = append(b, id[:]...)
	}
	return b
}

// conditions reads what appendConditions wrote.
func (d *decoder) conditions(c *cursor) []driver.Condition {
	n := c.count(3)
	if n > cap(d.conditioned)-len(d.conditioned) {
		d.conditioned = make([]driver.Condition, 0, max(n, min(2*cap(d.conditioned)+1, 256)))
	}
	start := len(d.conditioned)
	for range n {
		kind := c.bytes(1)
		if c.bad {
			return nil
		}
		one := driver.Condition{Kind: driver.ConditionKind(kind[0])}
		if one.Kind == driver.NoneAfterKind {
			one.After = driver.Position(c.uvarint())
			one.Query.Items = d.queryItems(c)
		} else {
			one.Stream, one.Version = c.text(), c.uvarint()
		}
		d.conditioned = append(d.conditioned, one)
	}
	return d.conditioned[start:len(d.conditioned):len(d.conditioned)]
}

func (d *decoder) queryItems(c *cursor) []driver.Item {
	n := c.count(5)
	if n == 0 {
		return nil
	}
	if n > cap(d.items)-len(d.items) {
		d.items = make([]driver.Item, 0, max(n, min(2*cap(d.items)+1, 256)))
	}
	start := len(d.items)
	for range n {
		d.items = append(d.items, driver.Item{Types: d.list(c), Tags: d.list(c), Streams: d.list(c), Category: c.text(), IDs: c.ids()})
	}
	return d.items[start:len(d.items):len(d.items)]
}

func (c *cursor) ids() []driver.ID {
	n := c.count(16)
	if n == 0 {
		return nil
	}
	out := make([]driver.ID, n)
	for i := range out {
		copy(out[i][:], c.bytes(16))
	}
	return out
}
