package collab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// batchLimit is the most changes accepted by one append.
const batchLimit = 64

// run accepts changes, all that wait by one append.
func (d *Document) run(ctx context.Context) {
	for {
		var batch []*submission
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
			if err := d.catchUp(ctx); err != nil && ctx.Err() == nil {
				d.docs.opts.Logger.Warn("text does not follow its log", "text", d.name, "error", err)
			}
			continue
		case s := <-d.submit:
			batch = append(batch, s)
		}
		for more := true; more && len(batch) < batchLimit; {
			select {
			case s := <-d.submit:
				batch = append(batch, s)
			default:
				more = false
			}
		}
		d.commit(ctx, batch)
	}
}

// nudge has run look at the log.
func (d *Document) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// commit answers every submission of a batch.
func (d *Document) commit(ctx context.Context, batch []*submission) {
	for {
		batch = slices.DeleteFunc(batch, (*submission).answered)
		if len(batch) == 0 {
			return
		}
		p := d.plan(ctx, batch)
		if len(p.events) == 0 {
			continue
		}
		err := d.append(ctx, p)
		var conflict *driver.ConflictError
		var known *driver.IDError
		switch {
		case errors.As(err, &conflict): // another process was faster
			err = d.catchUp(ctx)
		case errors.As(err, &known):
			for _, s := range batch {
				s.doubt = true
			}
			err = d.catchUp(ctx)
		}
		if err != nil {
			for _, s := range p.submissions {
				s.answer(nil, err)
			}
		}
	}
}

func (s *submission) answer(e *edit, err error) {
	s.over = true
	s.done <- answer{e, err}
}

func (s *submission) answered() bool { return s.over }

// plan is what one append shall do.
type plan struct {
	version     uint64 // that the stream must be at
	submissions []*submission
	edits       []*edit
	events      []driver.Event
	text        Text
	bytes       int
}

// plan rebases the submissions of a batch to the head, each behind the one
// before. What is known already or cannot be it answers; what must wait for
// another append it leaves.
func (d *Document) plan(ctx context.Context, batch []*submission) *plan {
	d.mu.Lock()
	p := &plan{version: d.head.version, text: d.head.text}
	d.mu.Unlock()
	for _, s := range batch {
		if slices.ContainsFunc(p.edits, func(e *edit) bool { return e.id == s.id }) {
			continue // sent twice
		}
		e, err := d.known(ctx, s)
		if e == nil && err == nil {
			err = p.add(d, s)
		}
		if e != nil || err != nil && !errors.Is(err, errEnough) {
			s.answer(e, err)
		}
	}
	return p
}

func (p *plan) add(d *Document, s *submission) error {
	d.mu.Lock()
	edits, near := d.after(s.Base)
	d.mu.Unlock()
	if !near {
		return &RefusedError{Reason: "the text has gone too far while it waited"}
	}
	rebased := *s
	rebased.rebase(slices.Concat(edits, p.edits))
	after, err := p.text.Apply(rebased.Change)
	if err != nil {
		return &RefusedError{Reason: "the change does not fit", Err: err}
	}
	if after.Len() > d.docs.opts.MaxLength && after.Len() > p.text.Len() {
		return &RefusedError{Reason: fmt.Sprintf("the text would have %d characters, over the limit of %d", after.Len(), d.docs.opts.MaxLength)}
	}
	e := &edit{id: s.id, Edit: Edit{Version: p.version + uint64(len(p.edits)) + 1,
		Author: s.Author, Client: s.Client, Seq: s.Seq, Kind: s.Kind, Joins: s.Joins, Change: rebased.Change}}
	event, err := d.docs.event(d.stream, e)
	if err != nil {
		return err
	}
	if p.bytes += event.Size(); len(p.events) > 0 && (p.bytes > d.docs.limits.BatchBytes || len(p.events) >= d.docs.limits.BatchEvents) {
		return errEnough
	}
	p.text = after
	p.submissions, p.edits, p.events = append(p.submissions, s), append(p.edits, e), append(p.events, event)
	return nil
}

// known returns the edit that a submission has become already, nil if it has not.
func (d *Document) known(ctx context.Context, s *submission) (*edit, error) {
	if s.Client == "" {
		return nil, nil
	}
	d.mu.Lock()
	last, met := d.accepted[editor{s.Author, s.Client}]
	tail := d.tail
	d.mu.Unlock()
	if met && s.Seq > last && !s.doubt {
		return nil, nil
	}
	for _, e := range tail {
		if e.id == s.id {
			return e, nil
		}
	}
	q := driver.Query{Items: []driver.Item{{IDs: []driver.ID{s.id}}}}
	for r, err := range d.docs.source.Read(ctx, q, driver.ReadOptions{Limit: 1}) {
		if err != nil {
			return nil, err
		}
		return d.docs.edited(&r)
	}
	if met && s.Seq <= last {
		return nil, &RefusedError{Reason: fmt.Sprintf("change %d of an editor whose last is %d", s.Seq, last)}
	}
	return nil, nil
}

// append appends what is planned and takes it into the state. While it is not
// known whether the log has it, it is appended again.
func (d *Document) append(ctx context.Context, p *plan) error {
	batch := driver.Batch{Events: p.events, Conditions: []driver.Condition{driver.StreamAt(d.stream, p.version)}}
	receipt, err := d.docs.source.Append(ctx, batch)
	for tries := 0; errors.Is(err, driver.ErrOutcomeUnknown) && ctx.Err() == nil && tries < 10; tries++ {
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond << tries):
		}
		receipt, err = d.docs.source.Append(ctx, batch)
	}
	if err != nil {
		return err
	}
	if receipt.Repeated && receipt.Versions[0] != p.version+1 { // by another process, behind edits that are not known here
		return &driver.IDError{ID: p.edits[0].id, Position: receipt.First, Reason: "it was accepted elsewhere"}
	}
	d.mu.Lock()
	if d.head.version != p.version || len(receipt.Versions) != len(p.edits) {
		d.mu.Unlock()
		return fmt.Errorf("text %q: the log answers an append with %v", d.name, receipt)
	}
	var due []state
	for i, e := range p.edits {
		e.position, e.Time = receipt.First+driver.Position(i), receipt.Time
		if err = d.head.apply(e, d.docs.opts.Pause); err != nil {
			break
		}
		d.remember(e)
		if s, is := d.due(&d.head); is {
			due = append(due, s)
		}
	}
	d.tell()
	d.mu.Unlock()
	for i, s := range p.submissions {
		s.answer(p.edits[i], err)
	}
	for _, s := range due {
		d.keepSnapshot(ctx, &s)
	}
	return nil
}

// catchUp takes in what others have appended.
func (d *Document) catchUp(ctx context.Context) error {
	d.mu.Lock()
	after := d.head.position
	d.mu.Unlock()
	return d.records(ctx, after, 0, func(r *driver.Record) error {
		e, err := d.docs.edited(r)
		if err != nil {
			return err
		}
		d.mu.Lock()
		err = d.head.apply(e, d.docs.opts.Pause)
		if err == nil {
			d.remember(e)
			d.tell()
		}
		d.mu.Unlock()
		if err == nil {
			d.keepSnapshot(ctx, &d.head) // which changes in this goroutine only
		}
		return err
	})
}
