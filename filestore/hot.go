package filestore

import (
	"hash/maphash"
	"sync"

	"github.com/annals-db/annals/driver"
)

// hotStreams keeps the records of streams that are read again and again,
// decoded. A stream only grows and a record never changes, so what is kept is
// always a true beginning of the stream; whether there is more is asked each time.
type hotStreams struct {
	mu      sync.Mutex
	streams map[string]*hotStream
	order   []*hotStream // for the hand of the clock that chooses what to drop
	hand    int
	bytes   int
	limit   int
	seen    [4096]uint32 // hashes of the streams read lately
}

type hotStream struct {
	name    string
	records []driver.Record // versions 1, 2, 3, …; replaced, never changed
	bytes   int
	used    bool // since the hand last passed
}

// recordBytes is about what a decoded record takes beside its data and texts.
const recordBytes = 256

func newHotStreams(limit int64) *hotStreams {
	return &hotStreams{streams: map[string]*hotStream{}, limit: int(limit)}
}

// streamOf returns the one stream that q asks for all of; ok is false if q asks
// for anything else.
func streamOf(q driver.Query) (stream string, ok bool) {
	if len(q.Items) != 1 {
		return "", false
	}
	i := &q.Items[0]
	if len(i.Streams) != 1 || len(i.Types) != 0 || len(i.Tags) != 0 || len(i.IDs) != 0 || i.Category != "" {
		return "", false
	}
	return i.Streams[0], i.Streams[0] != ""
}

// get returns what is kept of stream. keep says whether it is worth keeping:
// it was read before.
func (h *hotStreams) get(stream string) (records []driver.Record, keep bool) {
	sum := maphash.String(hashSeed, stream)
	h.mu.Lock()
	defer h.mu.Unlock()
	if found := h.streams[stream]; found != nil {
		found.used = true
		return found.records, true
	}
	tag := &h.seen[sum%uint64(len(h.seen))]
	keep = *tag == uint32(sum>>32)
	*tag = uint32(sum >> 32)
	return nil, keep
}

// put keeps records, the beginning of stream.
func (h *hotStreams) put(stream string, records []driver.Record) {
	size := recordBytes * len(records)
	for i := range records {
		size += records[i].Size()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[stream]
	switch {
	case size > h.limit/8:
		return
	case s == nil:
		s = &hotStream{name: stream}
		h.streams[stream] = s
		h.order = append(h.order, s)
	case len(s.records) >= len(records):
		return // another reading was quicker
	}
	h.bytes += size - s.bytes
	s.records, s.bytes, s.used = records, size, true
	h.shrink()
}

// shrink drops streams that were not read lately until the rest fits.
func (h *hotStreams) shrink() {
	for h.bytes > h.limit {
		h.hand %= len(h.order)
		s := h.order[h.hand]
		if s.used {
			s.used = false
			h.hand++
			continue
		}
		h.bytes -= s.bytes
		delete(h.streams, s.name)
		last := len(h.order) - 1
		h.order[h.hand] = h.order[last]
		h.order = h.order[:last]
	}
}

// stream yields the records of one stream, those from memory that are there.
func (r *reader) stream(name string) {
	kept, keep := r.s.hot.get(name)
	for i := range kept {
		p := kept[i].Position
		if p > r.upTo() {
			return
		}
		if p > r.o.After && !r.give(&kept[i]) {
			return
		}
	}
	n := len(kept)
	if n > 0 {
		last := &kept[n-1]
		if version, ok := r.s.heads.get(name); ok && version == last.Version {
			return
		}
		r.o.After = max(r.o.After, last.Position)
	}
	next := uint64(n + 1) // the version that would continue what is kept
	r.selected(func(rec *driver.Record) {
		if keep && rec.Version == next {
			if len(kept) == n {
				kept = kept[:n:n] // what others share is not added to
			}
			kept = append(kept, *rec)
			next++
		}
	})
	if len(kept) > n {
		r.s.hot.put(name, kept)
	}
}
