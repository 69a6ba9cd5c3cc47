package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/annals-db/annals/driver"
)

// streams is how many streams the events of a log are spread over.
const streams = 1000

var streamNames = func() (names []string) {
	for i := range streams {
		names = append(names, fmt.Sprintf("item-%05d", i))
	}
	return names
}()

// payload is what the events that are appended at the driver hold.
const payload = `{"SKU":"laptop-15-inch","Quantity":3,"Price":129900,"Reason":"sold-web"}`

// producer makes the events of one writer. It is not safe for concurrent use.
type producer struct {
	random    *rand.Rand
	names     []string // of the streams
	stream    int
	unordered bool // IDs are random
	events    []driver.Event
	batch     driver.Batch
}

func newProducer(writer, batch int) *producer {
	p := &producer{random: rand.New(rand.NewPCG(uint64(writer), uint64(time.Now().UnixNano()))), names: streamNames, stream: writer * 37}
	p.events = make([]driver.Event, batch)
	p.batch.Events = p.events
	return p
}

// next returns the next batch, whose memory is used again by the one after.
func (p *producer) next() driver.Batch {
	now := time.Now()
	for i := range p.events {
		p.stream++
		p.events[i] = driver.Event{ID: p.id(now), Stream: p.names[p.stream%len(p.names)], Type: "QuantityDecreased", Data: []byte(payload), Occurred: now}
	}
	return p.batch
}

// id is a version 7 UUID whose random part is cheap to make, or a version 4 one.
func (p *producer) id(now time.Time) (id driver.ID) {
	if p.unordered {
		binary.BigEndian.PutUint64(id[:], p.random.Uint64()&^0xF000|0x4000)
		binary.BigEndian.PutUint64(id[8:], p.random.Uint64()>>2|1<<63)
		return id
	}
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16|0x7000|p.random.Uint64()&0xFFF)
	binary.BigEndian.PutUint64(id[8:], p.random.Uint64()>>2|1<<63)
	return id
}

// encodeEvent appends the plainest binary form of e, taken at t: see the footnotes.
func encodeEvent(b []byte, e *driver.Event, t time.Time) []byte {
	b = append(b, e.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.UnixNano()))
	if e.Occurred.IsZero() {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Occurred.UnixNano()))
	}
	b = appendText(b, e.Stream)
	b = appendText(b, e.Type)
	b = binary.AppendUvarint(b, uint64(len(e.Tags)))
	for _, t := range e.Tags {
		b = appendText(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Metadata)))
	for _, m := range e.Metadata {
		b = appendText(appendText(b, m.Key), m.Value)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Data)))
	return append(b, e.Data...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBuffer = errors.New("the buffer is not what was encoded")

// decodeEvent decodes what encodeEvent has written into r, which then shares
// b's memory, and returns the rest. Tags and metadata are not among what the
// benchmark's logs hold.
func decodeEvent(b []byte, r *driver.Record) ([]byte, error) {
	if len(b) < 25 {
		return nil, errBuffer
	}
	copy(r.ID[:], b)
	r.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:]))).UTC()
	occurred := b[24] == 1
	b = b[25:]
	if occurred {
		r.Occurred = time.Unix(0, int64(binary.LittleEndian.Uint64(b))).UTC()
		b = b[8:]
	}
	stream, b := text(b)
	typ, b := text(b)
	if len(b) < 2 || b[0] != 0 || b[1] != 0 {
		return nil, errBuffer
	}
	data, b := text(b[2:])
	r.Stream = unsafe.String(unsafe.SliceData(stream), len(stream))
	r.Type = unsafe.String(unsafe.SliceData(typ), len(typ))
	r.Data = data
	return b, nil
}

func text(b []byte) (text, rest []byte) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil
	}
	return b[k : k+int(n) : k+int(n)], b[k+int(n):]
}
