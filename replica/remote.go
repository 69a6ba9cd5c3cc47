package replica

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-db/annals/internal/quorum"
)

// nodeSubject is where a node takes appends from others.
func (s *Store) nodeSubject(id nodeID) string {
	return "annals." + s.opts.Name + ".node." + id.String()
}

// request is some appends on their way to another node.
type request struct {
	epoch  uint64
	number uint64
	list   []*pending
	sent   time.Time

	connection uint64 // by which it was sent
}

const (
	requestAppends   = 512 // in a request
	requestsInFlight = 8
)

// remote hands appends to the node that sequences until the queue is empty, or
// something fails; then it returns true.
func (l *lane) remote(r role) (failed bool) {
	l.session++
	inbox := nats.NewInbox()
	replies := make(chan *nats.Msg, 2*requestsInFlight)
	sub, err := l.s.nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return true
	}
	defer func() { _ = sub.Unsubscribe() }()
	under := make(chan request, requestsInFlight)
	var lost atomic.Bool
	var again []*pending
	var collector sync.WaitGroup
	collector.Go(func() {
		for req := range under {
			again = append(again, l.collect(req, replies, &lost)...)
		}
	})
	connection := l.s.connections.Load()
	f := forward{node: l.s.id, epoch: r.epoch, session: l.session}
	for !lost.Load() {
		list := l.next(requestAppends, l.s.payload())
		if len(list) == 0 {
			break
		}
		first := f.number + 1
		if err := l.forward(&f, r.node, inbox, list); err != nil {
			lost.Store(true)
		}
		under <- request{epoch: r.epoch, number: max(f.number, first), list: list, sent: time.Now(), connection: connection}
	}
	close(under)
	collector.Wait()
	if len(again) > 0 {
		l.again(again)
	}
	return lost.Load()
}

// forward sends one request, in parts if it is large.
func (l *lane) forward(f *forward, to nodeID, inbox string, list []*pending) error {
	var body []byte
	for _, p := range list {
		body = appendBatch(body, &p.batch)
	}
	size := l.s.payload()
	f.parts = uint32((len(body) + size - 1) / size)
	for f.part = 0; f.part < f.parts; f.part++ {
		f.number++
		f.body = body[:min(size, len(body))]
		body = body[len(f.body):]
		msg := &nats.Msg{Subject: l.s.nodeSubject(to), Reply: inbox, Data: f.append(nil)}
		if err := l.s.nc.PublishMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// collect waits for the reply to req and gives the answers. It returns the
// appends that have none.
func (l *lane) collect(req request, replies <-chan *nats.Msg, lost *atomic.Bool) (again []*pending) {
	patience := time.NewTimer(time.Until(req.sent.Add(l.s.opts.Takeover))) // then it may be lost
	defer patience.Stop()
	look := time.NewTicker(l.s.opts.Takeover / 6)
	defer look.Stop()
	for {
		if lost.Load() && len(replies) == 0 {
			return unanswered(req.list, errNoAnswer)
		}
		select {
		case msg := <-replies:
			if len(msg.Data) < 8 { // no one is there
				lost.Store(true)
				return unanswered(req.list, quorum.ErrNotLeading)
			}
			number := binary.LittleEndian.Uint64(msg.Data)
			if number < req.number {
				continue // of a request given up
			}
			if number > req.number {
				lost.Store(true)
				continue
			}
			return l.answers(req, msg.Data[8:], lost)
		case <-look.C:
			if r, _ := l.s.currentRole(); r.epoch != req.epoch || l.s.connections.Load() != req.connection {
				lost.Store(true)
			}
		case <-patience.C:
			lost.Store(true)
		case <-l.s.ctx.Done():
			lost.Store(true)
		}
	}
}

var errNoAnswer = errors.New("the sequencer did not answer")

// unanswered notes an attempt for each of list that ended with err.
func unanswered(list []*pending, err error) []*pending {
	for _, p := range list {
		p.failed(err)
	}
	return list
}

// answers gives each append of req its answer.
func (l *lane) answers(req request, data []byte, lost *atomic.Bool) (again []*pending) {
	if len(data) == 0 { // refused as a whole
		lost.Store(true)
		return unanswered(req.list, quorum.ErrNotLeading)
	}
	d := decoder{b: data}
	for _, p := range req.list {
		a := d.answer(&p.batch)
		if d.bad {
			a.err = errNoAnswer
		}
		if d.bad || errors.Is(a.err, quorum.ErrNotLeading) {
			lost.Store(true)
			again = append(again, p.failed(a.err))
			continue
		}
		l.resolve(p, a)
	}
	return again
}
