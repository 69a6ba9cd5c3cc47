package filestore

import (
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// heads knows the versions of the streams appended to last: a bounded cache in
// two generations. The writer alone changes it, once records are durable;
// callers take along a pointer to what they found, which saves the writer from
// looking for it again.
type heads struct {
	mu         sync.RWMutex
	generation uint64
	young      map[string]*head
	old        map[string]*head
	youngEnd   driver.Position // no stream in young was appended to after it
	oldEnd     driver.Position // likewise, of old
	// forgotten is the position up to which a stream may have been appended to
	// and be unknown here.
	forgotten driver.Position
	limit     int // streams in a generation
}

// head is the head of one stream.
type head struct {
	name    string
	version uint64 // durable; guarded by heads.mu

	// What follows is the writer's own.
	generation uint64
	group      uint64 // number of the group under way that pending is of
	pending    uint64 // version in that group
}

const headsLimit = 1 << 15

func newHeads(at driver.Position) *heads {
	return &heads{young: map[string]*head{}, forgotten: at, limit: headsLimit}
}

// find puts in where the streams are, as far as it is known here.
func (h *heads) find(streams []streamRef) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := range streams {
		ref := &streams[i]
		if ref.head = h.peek(ref.name); ref.head != nil {
			ref.version = ref.head.version
		}
	}
}

// get returns the version of stream; ok is false if it is not known here.
func (h *heads) get(stream string) (version uint64, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if found := h.peek(stream); found != nil {
		return found.version, true
	}
	return 0, false
}

// peek returns the head of stream, nil if it is not known here. The caller
// holds mu or is the writer.
func (h *heads) peek(stream string) *head {
	if found, ok := h.young[stream]; ok {
		return found
	}
	return h.old[stream]
}

// current returns found, which a caller took along, or what has taken its
// place. The caller is the writer.
func (h *heads) current(found *head, stream string) *head {
	if found != nil && found.generation+1 >= h.generation {
		return found
	}
	return h.peek(stream)
}

// commit makes the pending versions of a group that ends at end those of the
// streams. known are streams that were known before, added are not.
func (h *heads) commit(known []*head, added map[string]*head, end driver.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range known {
		stream.version = stream.pending
		h.keep(stream)
	}
	for _, stream := range added {
		stream.version = stream.pending
		stream.name = strings.Clone(stream.name) // it may be a small part of a large text
		stream.generation = h.generation
		h.young[stream.name] = stream
	}
	h.youngEnd = end
	if len(h.young) >= h.limit {
		h.forgotten = max(h.forgotten, h.oldEnd)
		h.young, h.old = make(map[string]*head), h.young
		h.oldEnd = h.youngEnd
		h.generation++
	}
}

// keep makes sure that stream is in the young generation.
func (h *heads) keep(stream *head) {
	if stream.generation != h.generation {
		stream.generation = h.generation
		h.young[stream.name] = stream
	}
}
