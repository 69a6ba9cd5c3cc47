package filestore

import (
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// heads knows the versions of the streams appended to last: a bounded cache in
// two generations. The writer alone changes it, once records are durable.
type heads struct {
	mu       sync.RWMutex
	young    map[string]uint64
	old      map[string]uint64
	youngEnd driver.Position // no stream in young was appended to after it
	oldEnd   driver.Position // likewise, of old
	// forgotten is the position up to which a stream may have been appended to
	// and be unknown here.
	forgotten driver.Position
	limit     int // streams in a generation
}

const headsLimit = 1 << 17

func newHeads(head driver.Position) *heads {
	return &heads{young: map[string]uint64{}, forgotten: head, limit: headsLimit}
}

// get returns the version of stream; ok is false if it is not known here.
func (h *heads) get(stream string) (version uint64, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.peek(stream)
}

// peek is get for the writer, which needs no lock to read.
func (h *heads) peek(stream string) (version uint64, ok bool) {
	if version, ok = h.young[stream]; !ok {
		version, ok = h.old[stream]
	}
	return version, ok
}

// set keeps the versions of the streams of a group that ends at head.
func (h *heads) set(versions map[string]uint64, head driver.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream, version := range versions {
		if _, ok := h.young[stream]; !ok {
			stream = strings.Clone(stream) // it may be a small part of a large text
		}
		h.young[stream] = version
	}
	h.youngEnd = head
	if len(h.young) >= h.limit {
		h.forgotten = max(h.forgotten, h.oldEnd)
		h.young, h.old = make(map[string]uint64), h.young
		h.oldEnd = h.youngEnd
	}
}
