package filestore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
)

// request is one batch on its way to the writer. Its caller has encoded the
// bodies and looked at IDs and conditions up to position checked; the writer
// looks at what came after.
type request struct {
	batch   driver.Batch
	time    int64 // of batch.Time
	body    []byte
	events  []pending
	streams []streamRef // the streams that events and conditions name; neighbours share one
	conds   []condition
	checked driver.Position
	ordered bool // it must be judged in its turn, and never be sent back
	whole   bool // if ordered: nothing was settled, look at everything in turn
	again   int  // how often it was sent back

	decided []driver.Record // as another log decided the batch; nil if it is to be judged

	versions []uint64
	receipt  driver.Receipt
	err      error
	retry    bool // the caller must look again, at a newer state

	state atomic.Int32  // requestQueued, …
	done  chan struct{} // receives once, when the writer has answered
	pool  *sync.Pool    // where it goes when its answer has been taken
}

const (
	requestQueued int32 = iota
	requestTaken
	requestAbandoned // its caller no longer waits
)

// pending is what the writer needs of an event.
type pending struct {
	end       int    // of its body in request.body
	stream    int    // in request.streams, -1 for none
	signature uint64 // see signatureOf; 0 if it was not made
	id        uint64 // see idWord
}

// streamRef is a stream and the version it is at.
type streamRef struct {
	name    string
	head    *head  // nil if it is not known
	version uint64 // as the caller found it at checked; then as the writer has it
}

// condition is what the writer needs of a driver.Condition.
type condition struct {
	stream int      // in request.streams, -1 for NoneAfterKind
	masks  []uint64 // for NoneAfterKind: of each item of the query, see maskOf; none for a query of everything
}

// newRequest encodes b in a request from the pool that is the store's own, since
// its channels must not be shared with a store in another test bubble.
func newRequest(s *Store, b driver.Batch) *request {
	r, ok := s.requests.Get().(*request)
	if !ok {
		r = &request{pool: &s.requests, done: make(chan struct{}, 1)}
	}
	r.batch = b
	r.time = 0
	if !b.Time.IsZero() {
		r.time = b.Time.UnixNano()
	}
	r.body, r.events, r.streams, r.conds = r.body[:0], r.events[:0], r.streams[:0], r.conds[:0]
	r.versions = make([]uint64, len(b.Events))
	r.receipt, r.err, r.retry, r.ordered, r.again, r.decided = driver.Receipt{}, nil, false, false, 0, nil
	r.state.Store(requestQueued)
	signed := s.queried.Load()
	for i := range b.Events {
		e := &b.Events[i]
		var conditions []driver.Condition
		if i == 0 {
			conditions = b.Conditions
		}
		r.body = appendBody(r.body, e, conditions)
		p := pending{end: len(r.body), stream: r.stream(e.Stream), id: idWord(e.ID)}
		if signed {
			p.signature = signatureOf(e)
		}
		r.events = append(r.events, p)
	}
	for i := range b.Conditions {
		c := &b.Conditions[i]
		if c.Kind == driver.NoneAfterKind {
			r.conds = append(r.conds, condition{stream: -1, masks: masksOf(c.Query)})
			if !signed {
				s.queried.Store(true)
			}
		} else {
			r.conds = append(r.conds, condition{stream: r.stream(c.Stream)})
		}
	}
	return r
}

// stream returns the place of a stream in r.streams.
func (r *request) stream(name string) int {
	if name == "" {
		return -1
	}
	if n := len(r.streams); n == 0 || r.streams[n-1].name != name {
		r.streams = append(r.streams, streamRef{name: name})
	}
	return len(r.streams) - 1
}

// release gives r back to the pool. No one may use it afterwards.
func (r *request) release() {
	if cap(r.body) > 1<<20 {
		r.body = nil
	}
	r.batch, r.versions, r.receipt, r.err, r.decided = driver.Batch{}, nil, driver.Receipt{}, nil, nil
	clear(r.streams)
	r.pool.Put(r)
}

// answer tells the caller that the writer is done with r.
func (r *request) answer() { r.done <- struct{}{} }

// setReceipt puts the receipt of the batch whose first record is at first.
func (r *request) setReceipt(first driver.Position, at time.Time) {
	r.receipt = driver.Receipt{
		First:      first,
		Last:       first + driver.Position(len(r.versions)) - 1,
		Time:       at,
		Versions:   r.versions,
		Durability: durability,
	}
}

// A signature has a bit for each thing a query can ask for: the event's type,
// stream, category and tags. A mask has the bits that every event an item
// selects must have. So one AND tells most events that do not match.

var hashSeed = maphash.MakeSeed()

const (
	typeBit     uint64 = 0x9E3779B97F4A7C15
	streamBit   uint64 = 0xC2B2AE3D27D4EB4F
	categoryBit uint64 = 0x165667B19E3779F9
	tagBit      uint64 = 0xD6E8FEB86659FD93
)

func bit(kind uint64, s string) uint64 { return 1 << (maphash.String(hashSeed, s) * kind >> 58) }

func signatureOf(e *driver.Event) uint64 {
	sig := bit(typeBit, e.Type)
	if e.Stream != "" {
		sig |= bit(streamBit, e.Stream) | bit(categoryBit, driver.Category(e.Stream))
	}
	for _, t := range e.Tags {
		sig |= bit(tagBit, t)
	}
	return sig
}

func masksOf(q driver.Query) []uint64 {
	if len(q.Items) == 0 {
		return []uint64{0}
	}
	masks := make([]uint64, len(q.Items))
	for n := range q.Items {
		i := &q.Items[n]
		for _, t := range i.Tags {
			masks[n] |= bit(tagBit, t)
		}
		if len(i.Types) == 1 {
			masks[n] |= bit(typeBit, i.Types[0])
		}
		if len(i.Streams) == 1 {
			masks[n] |= bit(streamBit, i.Streams[0])
		}
		if i.Category != "" {
			masks[n] |= bit(categoryBit, i.Category)
		}
	}
	return masks
}

// idWord is the part of an ID that differs most: the last 8 bytes.
func idWord(id driver.ID) uint64 {
	var w uint64
	for _, b := range id[8:] {
		w = w<<8 | uint64(b)
	}
	return w
}
