package drivertest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/annals-db/annals/driver"
)

var recordMutants = []mutant{
	{"payloads are kept as compact JSON", "record/payload bytes are kept verbatim", changes(func(r *driver.Record) {
		var b bytes.Buffer
		if json.Compact(&b, r.Data) == nil {
			r.Data = b.Bytes()
		}
	})},
	{"payloads end at a NUL", "record/payload bytes are kept verbatim", changes(func(r *driver.Record) {
		r.Data, _, _ = bytes.Cut(r.Data, []byte{0})
	})},
	{"the encoding is lost", "record/payload bytes are kept verbatim", changes(func(r *driver.Record) { r.Encoding = "" })},
	{"times of occurrence are cut to microseconds", "record/the time of occurrence is kept in nanoseconds and as UTC", changes(func(r *driver.Record) {
		if !r.Occurred.IsZero() {
			r.Occurred = r.Occurred.Truncate(time.Microsecond)
		}
	})},
	{"no time of occurrence becomes 1970", "record/the time of occurrence is kept in nanoseconds and as UTC", changes(func(r *driver.Record) {
		if r.Occurred.IsZero() {
			r.Occurred = time.Unix(0, 0).UTC()
		}
	})},
	{"times are local", "time/time is the clock's, in UTC nanoseconds", changes(func(r *driver.Record) {
		r.Time = r.Time.In(time.FixedZone("here", 3600))
	})},
	{"tags are sorted", "record/tags keep their order and every byte", changes(func(r *driver.Record) {
		r.Tags = slices.Sorted(slices.Values(r.Tags))
	})},
	{"tags are trimmed", "record/tags keep their order and every byte", changes(func(r *driver.Record) {
		r.Tags = slices.Clone(r.Tags)
		for i := range r.Tags {
			r.Tags[i] = strings.TrimSpace(r.Tags[i])
		}
	})},
	{"metadata is lost", "record/every field comes back as it was given", changes(func(r *driver.Record) { r.Metadata = nil })},
	{"much metadata is cut", "record/many tags and metadata are kept", changes(func(r *driver.Record) {
		r.Metadata = r.Metadata[:min(len(r.Metadata), 64)]
	})},
	{"conditions are lost", "record/conditions are kept on the first record of a batch and no other", changes(func(r *driver.Record) { r.Conditions = nil })},
	{"conditions lose their queries", "record/every field comes back as it was given", changes(func(r *driver.Record) {
		r.Conditions = slices.Clone(r.Conditions)
		for i := range r.Conditions {
			r.Conditions[i].Query = driver.Query{}
		}
	})},
	{"each record is a batch", "record/each record names the batch it was appended with", changes(func(r *driver.Record) { r.Batch = r.Position })},
	{"streams are folded to lower case", "append/streams are told apart by every byte of their names", func(l *liar) {
		l.read = nil
		queries(func(i driver.Item) []driver.Item {
			i.Streams = slices.Clone(i.Streams)
			for n := range i.Streams {
				i.Streams[n] = strings.ToLower(i.Streams[n])
			}
			return []driver.Item{i}
		})(l)
	}},
}

// changes lets every record that is read be changed.
func changes(f func(r *driver.Record)) func(l *liar) { return func(l *liar) { l.change = f } }
