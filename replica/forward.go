package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
)

// forward is a request by which a node hands appends to the sequencer:
//
//	 0  1  version of this table, 1
//	 1 16  ID of the node that asks
//	17  8  epoch of the sequencer that is asked
//	25  8  session, rising
//	33  8  number of the request in the session, from 1
//	41  4  part, from 0
//	45  4  parts
//	49     its part of the batches: see appendBatch
//
// A sequencer takes a request only in its own epoch and right behind the one
// before it in its session, so that none that comes late is ever judged.
type forward struct {
	node    nodeID
	epoch   uint64
	session uint64
	number  uint64
	part    uint32
	parts   uint32
	body    []byte
}

const (
	forwardVersion = 1
	forwardHeader  = 49
)

func (f *forward) append(b []byte) []byte {
	b = append(b, forwardVersion)
	b = append(b, f.node[:]...)
	for _, v := range [...]uint64{f.epoch, f.session, f.number} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, f.part)
	b = binary.LittleEndian.AppendUint32(b, f.parts)
	return append(b, f.body...)
}

func parseForward(b []byte) (f forward, err error) {
	if len(b) < forwardHeader || b[0] != forwardVersion {
		return f, errDecode
	}
	copy(f.node[:], b[1:])
	f.epoch = binary.LittleEndian.Uint64(b[17:])
	f.session = binary.LittleEndian.Uint64(b[25:])
	f.number = binary.LittleEndian.Uint64(b[33:])
	f.part = binary.LittleEndian.Uint32(b[41:])
	f.parts = binary.LittleEndian.Uint32(b[45:])
	if f.part >= f.parts {
		return f, errDecode
	}
	f.body = b[forwardHeader:]
	return f, nil
}

// appendBatch appends b: its time, see appendTime; its conditions; its events,
// a list. A request holds batches one behind the other.
func appendBatch(buf []byte, b *driver.Batch) []byte {
	buf = appendTime(buf, b.Time)
	buf = appendConditions(buf, b.Conditions)
	buf = binary.AppendUvarint(buf, uint64(len(b.Events)))
	for i := range b.Events {
		buf = appendEvent(buf, &b.Events[i])
	}
	return buf
}

func parseBatches(b []byte) (batches []driver.Batch, err error) {
	d := decoder{b: b}
	for len(d.b) > 0 && !d.bad {
		one := driver.Batch{Time: d.time(), Conditions: d.conditions()}
		one.Events = make([]driver.Event, d.count(minEvent))
		for i := range one.Events {
			d.event(&one.Events[i])
		}
		batches = append(batches, one)
	}
	return batches, d.end()
}

// answer is what became of a batch: a receipt or an error.
type answer struct {
	receipt driver.Receipt
	err     error
}

// The kinds of answer. What follows the kind is in appendAnswer.
const (
	receiptAnswer    byte = iota // first uvarint, time, repeated 1, versions a list of uvarint
	conflictAnswer               // index, head, version, position: uvarint each
	idAnswer                     // ID 16, position uvarint, reason text
	invalidAnswer                // index+1 uvarint, field text, reason text
	limitAnswer                  // index+1 uvarint, what text, limit and got: uvarint
	positionAnswer               // what text, head uvarint
	notTakenAnswer               // to be sent again, to who leads then
	notLeadingAnswer             // likewise, and it may be in the log already: text
	unavailableAnswer
	otherAnswer
)

// A reply is the number of the request, 8 bytes, and an answer for each batch.
func appendAnswer(b []byte, a answer) []byte {
	var conflict *driver.ConflictError
	var id *driver.IDError
	var invalid *driver.InvalidError
	var limit *driver.LimitError
	var position *driver.PositionError
	uvarints := func(b []byte, values ...uint64) []byte {
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	switch err := a.err; {
	case err == nil:
		b = append(b, receiptAnswer)
		b = appendTime(uvarints(b, uint64(a.receipt.First)), a.receipt.Time)
		repeated := byte(0)
		if a.receipt.Repeated {
			repeated = 1
		}
		b = uvarints(append(b, repeated), uint64(len(a.receipt.Versions)))
		return uvarints(b, a.receipt.Versions...)
	case !mayBeTaken(err):
		return append(b, notTakenAnswer)
	case errors.Is(err, quorum.ErrNotLeading):
		return appendText(append(b, notLeadingAnswer), err.Error())
	case errors.As(err, &conflict):
		return uvarints(append(b, conflictAnswer), uint64(conflict.Index), uint64(conflict.Head), conflict.Version, uint64(conflict.Position))
	case errors.As(err, &id):
		b = append(append(b, idAnswer), id.ID[:]...)
		return appendText(uvarints(b, uint64(id.Position)), id.Reason)
	case errors.As(err, &invalid):
		b = uvarints(append(b, invalidAnswer), uint64(invalid.Index+1))
		return appendText(appendText(b, invalid.Field), invalid.Reason)
	case errors.As(err, &limit):
		b = appendText(uvarints(append(b, limitAnswer), uint64(limit.Index+1)), limit.What)
		return uvarints(b, uint64(limit.Limit), uint64(limit.Got))
	case errors.As(err, &position):
		return uvarints(appendText(append(b, positionAnswer), position.What), uint64(position.Head))
	case errors.Is(err, driver.ErrUnavailable):
		return appendText(append(b, unavailableAnswer), err.Error())
	default:
		return appendText(append(b, otherAnswer), err.Error())
	}
}

// answer reads the answer to b.
func (d *decoder) answer(b *driver.Batch) (a answer) {
	switch d.byte() {
	case receiptAnswer:
		r := driver.Receipt{First: driver.Position(d.uvarint()), Time: d.time(), Repeated: d.byte() == 1}
		r.Versions = make([]uint64, d.count(1))
		for i := range r.Versions {
			r.Versions[i] = d.uvarint()
		}
		if r.Last = r.First + driver.Position(len(r.Versions)) - 1; len(r.Versions) != len(b.Events) {
			d.fail()
		}
		a.receipt = r
	case conflictAnswer:
		c := &driver.ConflictError{Index: int(d.uvarint()), Head: driver.Position(d.uvarint()), Version: d.uvarint(), Position: driver.Position(d.uvarint())}
		if c.Index < 0 || c.Index >= len(b.Conditions) {
			d.fail()
			break
		}
		c.Condition = b.Conditions[c.Index]
		a.err = c
	case idAnswer:
		e := &driver.IDError{}
		copy(e.ID[:], d.bytes(16))
		e.Position, e.Reason = driver.Position(d.uvarint()), d.text()
		a.err = e
	case invalidAnswer:
		a.err = &driver.InvalidError{Index: int(d.uvarint()) - 1, Field: d.text(), Reason: d.text()}
	case limitAnswer:
		a.err = &driver.LimitError{Index: int(d.uvarint()) - 1, What: d.text(), Limit: int(d.uvarint()), Got: int(d.uvarint())}
	case positionAnswer:
		a.err = &driver.PositionError{What: d.text(), Head: driver.Position(d.uvarint())}
	case notTakenAnswer:
		a.err = quorum.ErrNotLeading
	case notLeadingAnswer:
		a.err = fmt.Errorf("%w: %s", quorum.ErrNotLeading, d.text())
	case unavailableAnswer:
		a.err = fmt.Errorf("the sequencer: %w: %s", driver.ErrUnavailable, d.text())
	case otherAnswer:
		a.err = fmt.Errorf("the sequencer: %s", d.text())
	default:
		d.fail()
	}
	return a
}
