package drivertest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
)

var recordTests = []test{
	{"every field comes back as it was given", func(e *env) {
		events := oddEvents(e)
		conditions := []driver.Condition{
			driver.StreamAbsent("item-9"),
			driver.StreamAt("item-8", 0),
			driver.NoneAfter(items(driver.Item{Types: []string{"A", "B"}, Tags: []string{"x:1", "y:2"}, Streams: []string{"s-1"}, Category: "s", IDs: []driver.ID{{1}, {2}}},
				driver.Item{Category: "t"}), 0),
		}
		r := e.appendIf(conditions, events...)
		want := recordsOf(driver.Batch{Events: events, Conditions: conditions}, r)
		same(e.T, e.all(), want)
		for i := range want {
			same(e.T, e.read(driver.Query{}, driver.ReadOptions{After: want[i].Position - 1, UpTo: want[i].Position}), want[i:i+1])
			same(e.T, e.read(items(driver.Item{IDs: []driver.ID{want[i].ID}}), driver.ReadOptions{}), want[i:i+1])
		}
	}},
	{"payload bytes are kept verbatim", func(e *env) {
		var all []byte
		for i := range 256 {
			all = append(all, byte(i))
		}
		for _, data := range []string{``, `{"b":1, "a":  2.0e0}` + "\n", `{"a":1,"a":2}`, `12345678901234567890.000`, `"\u0041\ud800"`, "\xff\xfe\x00", `{`, "\x00", string(all),
			strings.Repeat("\x00", 4096), strings.Repeat("ab", 40_000)} {
			for _, encoding := range []string{"", "cbor", "json+zstd"} {
				ev := e.event("item-1", "A")
				ev.Data, ev.Encoding = []byte(data), encoding
				r := e.append(ev)
				got := e.read(everything, driver.ReadOptions{After: r.First - 1})
				if !bytes.Equal(got[0].Data, ev.Data) || got[0].Encoding != encoding {
					e.Errorf("payload %.40q (%q) comes back as %.40q (%q)", data, encoding, got[0].Data, got[0].Encoding)
				}
			}
		}
	}},
	{"tags keep their order and every byte", func(e *env) {
		ev := e.event("item-1", "A", "z:1", "a:2", "m: 3 ", "a:b:c", "ü:é", "A:2")
		e.append(ev)
		equal(e.T, "tags", e.all()[0].Tags, ev.Tags)
	}},
	{"many tags and metadata are kept", func(e *env) {
		ev := e.event("item-1", "A")
		meta := map[string]string{"": ""}
		delete(meta, "")
		for i := range 100 {
			ev.Tags = append(ev.Tags, fmt.Sprintf("n:%d", i))
			meta[fmt.Sprintf("key %d", i)] = strings.Repeat("v", i*10)
		}
		ev.Metadata = driver.NewMetadata(meta)
		same(e.T, e.afterAppend(ev), e.all())
		equal(e.T, "metadata", e.all()[0].Metadata, ev.Metadata)
		equal(e.T, "found by the last tag", len(e.read(tagged("n:99"), driver.ReadOptions{})), 1)
	}},
	{"the time of occurrence is kept in nanoseconds and as UTC", func(e *env) {
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(0, -1), time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64),
			time.Date(2011, 6, 30, 12, 0, 0, 123456789, time.FixedZone("x", -7*3600)), time.Now()} {
			ev := e.event("item-1", "A")
			ev.Occurred = at
			e.append(ev)
			want := at
			if !at.IsZero() {
				want = at.UTC().Round(0)
			}
			got := e.read(everything, driver.ReadOptions{Backward: true, Limit: 1})
			equal(e.T, "occurred", instant(got[0].Occurred), instant(want))
		}
	}},
	{"conditions are kept on the first record of a batch and no other", func(e *env) {
		conditions := []driver.Condition{driver.StreamAbsent("item-9"), driver.StreamAt("item-8", 0), driver.NoneAfter(everything, 0)}
		e.appendIf(conditions, e.events("item-1", 3)...)
		e.append(e.events("item-1", 1)...)
		for i, r := range e.all() {
			want := ""
			if i == 0 {
				want = conditionText(conditions)
			}
			equal(e.T, fmt.Sprintf("conditions of record %d", i+1), conditionText(r.Conditions), want)
		}
	}},
	{"each record names the batch it was appended with", func(e *env) {
		for i := range 10 {
			e.append(e.events("item-1", 1+i%4)...)
		}
		r := driver.Record{}
		for i, n := 0, driver.Position(1); i < 10; i++ {
			for range 1 + i%4 {
				r = e.read(everything, driver.ReadOptions{After: r.Position, Limit: 1})[0]
				equal(e.T, "batch", r.Batch, n)
			}
			n += driver.Position(1 + i%4)
		}
	}},
}

// afterAppend appends ev and returns the record that must then be in the log.
func (e *env) afterAppend(ev driver.Event) []driver.Record {
	e.Helper()
	b := driver.Batch{Events: []driver.Event{ev}}
	return recordsOf(b, e.appendBatch(b))
}

// recordsOf is what a log holds of b after the receipt r.
func recordsOf(b driver.Batch, r driver.Receipt) []driver.Record {
	out := make([]driver.Record, len(b.Events))
	for i, ev := range b.Events {
		if !ev.Occurred.IsZero() {
			ev.Occurred = ev.Occurred.UTC()
		}
		out[i] = driver.Record{Event: ev, Position: r.First + driver.Position(i), Version: r.Versions[i], Time: r.Time, Batch: r.First}
	}
	out[0].Conditions = b.Conditions
	return out
}

// oddEvents returns valid events that are easily kept wrongly.
func oddEvents(e *env) []driver.Event {
	return []driver.Event{
		{ID: driver.ID{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, Stream: "item-1", Type: "A"},
		{ID: driver.ID{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, Stream: "item-1", Type: "A", Data: []byte("null")},
		{ID: e.id(), Type: "Tagged", Tags: []string{"k:v"}, Data: []byte{0}},
		{ID: e.id(), Stream: "-", Type: " ", Data: []byte(`{}`), Encoding: "cbor+zstd+aes-gcm"},
		{ID: e.id(), Stream: "Grüße-世界 🙂", Type: "Ünïcode\n\t\"'\\", Tags: []string{"😀:\n", "a:,;|&"}, Data: []byte("\xff\x00")},
		{ID: e.id(), Stream: "'; DROP TABLE records; --", Type: "%s%d\\x00", Data: []byte(`{"$ref":"x"}`), Tags: []string{"k:\u2028"}},
		{ID: e.id(), Stream: "item-1", Type: "A", Metadata: driver.NewMetadata(map[string]string{"actor": "ann", "reason": "", " ": "x", "ключ": "значение\n"}),
			Occurred: time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC)},
		{ID: e.id(), Stream: "item-1", Type: "A", Data: bytes.Repeat([]byte("0123456789"), 10_000)},
	}
}
