package audit

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"

	"github.com/annals-db/annals/driver"
)

// inFlight is how many appends may wait for their answers at once.
const inFlight = 256

// chain appends batches in order, each on the condition that the stream of the
// capture is where the one before left it. Many are under way at once where the
// store can; if one fails, none behind it is taken.
type chain struct {
	log     driver.Log
	stream  string
	version uint64 // of the stream, with what is under way
	random  *bufio.Reader
	limits  driver.Limits

	queue chan link
	ended chan struct{}
	fail  context.CancelCauseFunc // ends the session

	durable atomic.Uint64 // the LSN up to which everything is in the log
	handed  pglogrepl.LSN // likewise of the last append handed over
}

// link is an append under way, or someone who waits for those before.
type link struct {
	answer func() (driver.Receipt, error)
	lsn    pglogrepl.LSN
	done   func(driver.Receipt)
	waiter chan struct{}
}

func newChain(log driver.Log, limits driver.Limits, s *state, fail context.CancelCauseFunc) *chain {
	c := &chain{log: log, stream: s.stream, version: s.version, random: bufio.NewReaderSize(rand.Reader, 4096), limits: limits,
		queue: make(chan link, inFlight), ended: make(chan struct{}), fail: fail, handed: s.lsn}
	c.durable.Store(uint64(s.lsn))
	go c.answers()
	return c
}

// answers waits for the answers, in order.
func (c *chain) answers() {
	defer close(c.ended)
	failed := false
	for l := range c.queue {
		if l.waiter != nil {
			close(l.waiter)
			continue
		}
		r, err := l.answer()
		if failed {
			continue
		}
		if err != nil {
			failed = true
			c.fail(err)
			continue
		}
		c.durable.Store(max(c.durable.Load(), uint64(l.lsn)))
		if l.done != nil {
			l.done(r)
		}
	}
}

// close waits for what is under way.
func (c *chain) close() {
	close(c.queue)
	<-c.ended
}

// event returns an event with a new ID.
func (c *chain) event(stream, typ string, data []byte) driver.Event {
	return driver.Event{ID: uuid.Must(uuid.NewV7FromReader(c.random)), Stream: stream, Type: typ, Data: data}
}

// append hands over events, and the event of the capture that ends them; once
// they are in the log everything up to end is. done, if not nil, is called with the receipt.
func (c *chain) append(ctx context.Context, events []driver.Event, typ string, m mark, tags []string, end pglogrepl.LSN, done func(driver.Receipt)) error {
	e := c.event(c.stream, typ, mustJSON(m))
	e.Tags, e.Occurred = tags, m.Committed
	b := driver.Batch{Events: append(events, e), Conditions: []driver.Condition{driver.StreamAt(c.stream, c.version)}}
	if err := driver.Validate(&b, c.limits); err != nil {
		return tooLarge(err, &b)
	}
	c.version++
	c.handed = max(c.handed, end)
	l := link{lsn: end, done: done}
	// What is handed over is waited for whatever becomes of ctx, so that its outcome is known.
	whole := context.WithoutCancel(ctx)
	if s, ok := c.log.(driver.Submitter); ok {
		l.answer = s.Submit(whole, b)
	} else {
		l.answer = func() (driver.Receipt, error) { return c.log.Append(whole, b) }
	}
	return c.send(ctx, l)
}

func (c *chain) send(ctx context.Context, l link) error {
	select {
	case c.queue <- l:
		return nil
	case <-ctx.Done():
		if l.answer != nil {
			c.queue <- l // answers go on being taken
		}
		return context.Cause(ctx)
	}
}

// wait returns when everything handed over is in the log.
func (c *chain) wait(ctx context.Context) error {
	w := make(chan struct{})
	if err := c.send(ctx, link{waiter: w}); err != nil {
		return err
	}
	select {
	case <-w:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tooLarge says which row is too large for the log.
func tooLarge(err error, b *driver.Batch) error {
	var l *driver.LimitError
	if !errors.As(err, &l) || l.Index < 0 || l.Index >= len(b.Events) {
		return err
	}
	e := &b.Events[l.Index]
	if !isOurs(e.Stream) {
		return err
	}
	return &RefusedError{What: "row " + e.Stream, Reason: e.Type + ": " + (&driver.LimitError{Index: -1, What: l.What, Limit: l.Limit, Got: l.Got}).Error(),
		Mend: "use a store with larger limits", table: nameOf(driver.Category(e.Stream))}
}
