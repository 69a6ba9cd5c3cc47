package replica

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
)

// intake takes appends from other nodes while this one leads.
type intake struct {
	s  *Store
	wg sync.WaitGroup

	sessions map[nodeID]*session // of the goroutine that serves
}

// session is what is known of a node that hands appends over.
type session struct {
	epoch, number, last uint64 // session number and the last request taken in it
	body                []byte // of a request whose rest is to come
	bad                 bool
}

func newIntake(s *Store) *intake { return &intake{s: s, sessions: map[nodeID]*session{}} }

// open begins to serve.
func (i *intake) open() error {
	_, err := i.s.nc.Subscribe(i.s.nodeSubject(i.s.id), i.serve)
	return err
}

// serve takes one message. The connection calls it for one after the other.
func (i *intake) serve(msg *nats.Msg) {
	f, err := parseForward(msg.Data)
	if err != nil {
		return
	}
	batches, ok, err := i.take(&f)
	switch {
	case !ok && err == nil:
		return // the rest is to come
	case err != nil:
		i.reply(msg, f.number, nil) // refused as a whole
		return
	}
	awaits := make([]func() (driver.Receipt, error), len(batches))
	for n := range batches {
		await, ok := i.s.submitIn(f.epoch, batches[n])
		if !ok {
			await = func() (driver.Receipt, error) { return driver.Receipt{}, quorum.ErrNotLeading }
		}
		awaits[n] = await
	}
	i.wg.Go(func() {
		answers := make([]answer, len(awaits))
		for n, await := range awaits {
			receipt, err := await()
			answers[n] = i.s.confirmed(i.s.ctx, answer{receipt, err})
		}
		i.reply(msg, f.number, answers)
	})
}

var errOutOfTurn = errors.New("a request came out of turn")

// take returns the batches of a request whose last part f is; ok is false if
// more is to come. One that does not come right behind the one before it in its
// session is refused: it was late, or another was lost.
func (i *intake) take(f *forward) (batches []driver.Batch, ok bool, err error) {
	sn := i.sessions[f.node]
	if sn == nil || f.epoch > sn.epoch || f.epoch == sn.epoch && f.session > sn.number {
		sn = &session{epoch: f.epoch, number: f.session}
		i.sessions[f.node] = sn
	}
	if f.epoch != sn.epoch || f.session != sn.number || f.number <= sn.last {
		return nil, false, errOutOfTurn
	}
	if f.number != sn.last+1 || (f.part == 0) != (sn.body == nil) || sn.bad {
		sn.bad = true
		return nil, false, errOutOfTurn
	}
	sn.last = f.number
	if f.parts == 1 {
		batches, err = parseBatches(f.body)
		return batches, err == nil, err
	}
	sn.body = append(sn.body, f.body...)
	if f.part+1 < f.parts {
		return nil, false, nil
	}
	batches, err = parseBatches(sn.body)
	sn.body = nil
	return batches, err == nil, err
}

func (i *intake) reply(msg *nats.Msg, number uint64, answers []answer) {
	b := binary.LittleEndian.AppendUint64(nil, number)
	for _, a := range answers {
		b = appendAnswer(b, a)
	}
	_ = msg.Respond(b) // a node that gets none asks again
}
