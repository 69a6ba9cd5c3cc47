package driver

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Position is a place in the log: 1 for the first record, rising, total over
// the whole log, contiguous within a batch. 0 stands before the first record.
type Position uint64

// ID identifies an event for ever: a UUID, time-ordered (version 7) unless the
// producer gives another.
type ID = uuid.UUID

// Event is a fact to be appended. A store keeps every field verbatim.
type Event struct {
	ID       ID        // never zero
	Stream   string    // the stream it belongs to, or "" for none; then it has tags
	Type     string    // its name in the log, never empty
	Data     []byte    // the payload
	Encoding string    // how Data is encoded: "" is JSON, else the codec's name, such as "cbor+zstd"
	Tags     []string  // "key:value" each, no two equal, in the order given
	Metadata Metadata  // who and why; nil if none
	Occurred time.Time // when it happened in the world, UTC nanoseconds; zero means the log's time
}

// Record is an event as the log holds it. Records that a store hands out may
// be kept, and must not be changed: their slices may share memory.
type Record struct {
	Event
	Position   Position
	Version    uint64      // within the stream, from 1 with no gap; 0 without a stream
	Time       time.Time   // when the log took it, UTC nanoseconds, never running backwards along positions
	Batch      Position    // the position of the first record of its batch
	Conditions []Condition // what the append relied on; on the first record of a batch only
}

// Pair is one entry of a [Metadata].
type Pair struct{ Key, Value string }

// Metadata is what is known about an event beside its payload, sorted by key,
// no two keys equal. The keys that Annals itself gives meaning to are
// "actor", "correlation", "causation" and "reason".
type Metadata []Pair

// NewMetadata returns m as a Metadata, nil if m is empty.
func NewMetadata(m map[string]string) Metadata {
	if len(m) == 0 {
		return nil
	}
	md := make(Metadata, 0, len(m))
	for k, v := range m {
		md = append(md, Pair{k, v})
	}
	slices.SortFunc(md, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return md
}

// Value returns the value under key, "" if there is none.
func (m Metadata) Value(key string) string {
	for _, p := range m {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// Map returns m as a map, nil if m is empty.
func (m Metadata) Map() map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for _, p := range m {
		out[p.Key] = p.Value
	}
	return out
}

// Category returns the part of a stream name before its first dash, the whole
// name if it has none: "item" for "item-laptop".
func Category(stream string) string {
	category, _, _ := strings.Cut(stream, "-")
	return category
}

// SameContent reports whether a and b are the same fact under one ID: equal in
// stream, type, encoding, payload and tags. Metadata and occurred time are not
// compared, since a command that is repeated may carry others.
func SameContent(a, b *Event) bool {
	return a.Stream == b.Stream && a.Type == b.Type && a.Encoding == b.Encoding &&
		string(a.Data) == string(b.Data) && slices.Equal(a.Tags, b.Tags)
}
