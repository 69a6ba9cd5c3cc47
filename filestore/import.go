package filestore

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// Import appends records as another log has decided them: whole batches in
// order, the first record at the position behind the head, each with its
// position, version, time, batch and conditions as they are. IDs and conditions
// are not looked at, so that a copy of a log comes out equal to it. It returns
// when they are synced to the disk.
//
// A record that does not continue the log is an *[driver.InvalidError] whose
// Index is that of the record; whole batches before it may have been appended.
func (s *Store) Import(ctx context.Context, records []driver.Record) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	if err := s.refusal(); err != nil {
		return err
	}
	requests, err := s.decided(records)
	if err != nil {
		return err
	}
	for i, r := range requests {
		if err := s.writer.enqueue(ctx, r); err != nil {
			_, failed := s.imported(ctx, requests[:i])
			return orElse(failed, err)
		}
	}
	index, err := s.imported(ctx, requests)
	if invalid, ok := err.(*driver.InvalidError); ok {
		invalid.Index += index
	}
	return err
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// imported waits for the answers to requests. With an error it returns the
// number of records in the batches before.
func (s *Store) imported(ctx context.Context, requests []*request) (before int, first error) {
	n := 0
	for _, r := range requests {
		events := len(r.events)
		err := r.wait(ctx)
		if err == nil {
			_, err = r.result(r.err)
		}
		if err != nil && first == nil {
			before, first = n, err
		}
		n += events
	}
	return before, first
}

// decided makes a request of each batch of records. Without records it makes
// one without events, which is answered in its turn.
func (s *Store) decided(records []driver.Record) ([]*request, error) {
	var requests []*request
	v := s.view.Load()
	for start := 0; start < len(records); {
		end := start + 1
		for end < len(records) && records[end].Batch == records[start].Batch {
			end++
		}
		r, err := s.decidedBatch(v, records[start:end])
		if err != nil {
			if invalid, ok := err.(*driver.InvalidError); ok {
				invalid.Index = start + max(invalid.Index, 0)
			}
			return nil, err
		}
		requests = append(requests, r)
		start = end
	}
	if len(records) == 0 {
		r := newRequest(s, driver.Batch{})
		r.decided = []driver.Record{}
		requests = append(requests, r)
	}
	return requests, nil
}

// decidedBatch makes the request of one batch.
func (s *Store) decidedBatch(v *view, records []driver.Record) (*request, error) {
	b := driver.Batch{Events: make([]driver.Event, len(records)), Conditions: records[0].Conditions, Time: records[0].Time}
	for i := range records {
		rec := &records[i]
		b.Events[i] = rec.Event
		switch {
		case rec.Batch != records[0].Position:
			return nil, &driver.InvalidError{Index: i, Field: "batch", Reason: fmt.Sprintf("a batch cannot begin at %d with the record at %d", rec.Batch, records[0].Position)}
		case rec.Position != records[0].Position+driver.Position(i):
			return nil, &driver.InvalidError{Index: i, Field: "position", Reason: fmt.Sprintf("%d follows %d", rec.Position, rec.Position-1)}
		case !rec.Time.Equal(records[0].Time) || rec.Time.IsZero():
			return nil, &driver.InvalidError{Index: i, Field: "time", Reason: "it is not that of the whole batch"}
		case i > 0 && len(rec.Conditions) > 0:
			return nil, &driver.InvalidError{Index: i, Field: "conditions", Reason: "they belong to the first record of the batch"}
		}
	}
	if err := driver.Validate(&b, s.opts.Limits); err != nil {
		return nil, err
	}
	r := newRequest(s, b)
	r.decided = records
	r.conds = r.conds[:0]
	n := 0
	for i := range r.events {
		n = max(n, r.events[i].stream+1)
	}
	r.streams = r.streams[:n] // those that only conditions name are not needed
	r.checked = v.head
	return r, s.findStreams(v, r.streams)
}

// takeDecided places a batch that was decided elsewhere.
func (w *writer) takeDecided(r *request) {
	if len(r.decided) == 0 {
		w.commit()
		r.answer()
		return
	}
	if r.err = w.follows(r); r.err != nil {
		w.hold(r)
		return
	}
	if err := w.place(r, r.time); err != nil {
		r.err = err
		r.answer()
		return
	}
	for i := range r.decided {
		if rec := &r.decided[i]; rec.Version != r.versions[i] && w.wrong == nil {
			w.wrong = &driver.InvalidError{Index: i, Field: "version", Reason: fmt.Sprintf("%d of %q at position %d, where %d is the next", rec.Version, rec.Stream, rec.Position, r.versions[i])}
		}
	}
}

// follows returns an error unless r continues the log, and finds out where its streams are.
func (w *writer) follows(r *request) error {
	first := &r.decided[0]
	if first.Position != w.head+1 {
		return &driver.InvalidError{Field: "position", Reason: fmt.Sprintf("it is %d, and the log's head is %d", first.Position, w.head)}
	}
	if w.head > 0 && r.time < w.time {
		return &driver.InvalidError{Field: "time", Reason: fmt.Sprintf("it is before that of position %d", w.head)}
	}
	for i := range r.streams {
		if w.find(&r.streams[i], r.checked) {
			continue
		}
		w.commit()
		v := w.s.view.Load()
		r.checked = v.head
		if err := w.s.findStreams(v, r.streams); err != nil {
			return err
		}
		return w.follows(r)
	}
	return nil
}
