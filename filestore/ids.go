package filestore

import (
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
)

// checkIDs looks for the IDs of r in the whole of v.
func (s *Store) checkIDs(v *view, r *request) (repeated bool, err error) {
	events := r.batch.Events
	known, err := s.findIDs(v, events)
	if known == nil || err != nil {
		return false, err
	}
	// The group that has them may have come while they were looked for, so that
	// some were found and others not.
	for {
		v = s.published()
		if known, err = s.findIDs(v, events); known == nil || err != nil {
			return false, err
		}
		if slices.Max(known) <= v.head {
			break
		}
		if err := s.refusal(); err != nil {
			return false, err // the group failed
		}
	}
	for i, p := range known {
		if p == 0 {
			continue
		}
		rec, err := s.recordAt(v, p)
		if err != nil {
			return false, err
		}
		if !driver.SameContent(&rec.Event, &events[i]) {
			return false, &driver.IDError{ID: events[i].ID, Position: p, Reason: "it holds other content"}
		}
	}
	if first := known[0]; first != 0 {
		same, err := s.sameBatch(v, first, known)
		if err != nil {
			return false, err
		}
		if same {
			return true, s.repeat(v, r, first)
		}
	}
	reason := "it was appended in another batch or order"
	if slices.Contains(known, 0) {
		reason = "only a part of the batch is known"
	}
	for i, p := range known {
		if p != 0 {
			return false, &driver.IDError{ID: events[i].ID, Position: p, Reason: reason}
		}
	}
	return false, nil
}

// findIDs returns the positions of the events' IDs, 0 for one that is not
// known; nil if none is.
func (s *Store) findIDs(v *view, events []driver.Event) (known []driver.Position, err error) {
	for i := range events {
		if id, ok := ordered(events[i].ID); ok && greater(id, v.newest) {
			continue
		}
		p, err := s.findID(v, events[i].ID)
		if err != nil {
			return nil, err
		}
		if p != 0 {
			if known == nil {
				known = make([]driver.Position, len(events))
			}
			known[i] = p
		}
	}
	return known, nil
}

// sameBatch reports whether known are all the positions, in order, of the batch that begins at first.
func (s *Store) sameBatch(v *view, first driver.Position, known []driver.Position) (bool, error) {
	for i, p := range known {
		if p != first+driver.Position(i) {
			return false, nil
		}
	}
	for _, p := range [...]driver.Position{first, known[len(known)-1]} {
		rec, err := s.recordAt(v, p)
		if err != nil || rec.Batch != first {
			return false, err
		}
	}
	after := known[len(known)-1] + 1
	if after > v.head {
		return true, nil
	}
	rec, err := s.recordAt(v, after)
	return err == nil && rec.Batch == after, err
}

// repeat gives r the receipt of the batch at first.
func (s *Store) repeat(v *view, r *request, first driver.Position) error {
	var at time.Time
	for i := range r.versions {
		rec, err := s.recordAt(v, first+driver.Position(i))
		if err != nil {
			return err
		}
		r.versions[i], at = rec.Version, rec.Time
	}
	r.setReceipt(first, at)
	r.receipt.Repeated = true
	return nil
}

// findID returns the position of the record with id, 0 if there is none.
func (s *Store) findID(v *view, id driver.ID) (driver.Position, error) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		g := v.segments[i]
		x := g.index.Load()
		if x.mem != nil {
			if hit, ok := x.mem.FindID(id); ok {
				return hit.Position, nil
			}
			continue
		}
		for hit, err := range x.sealed.FindID(id) {
			if err != nil {
				return 0, g.damagedIndex(err)
			}
			is := false
			err := s.peek(v, i, hit, func(rec *driver.Record) { is = rec.ID == id })
			if is || err != nil {
				return hit.Position, err
			}
		}
	}
	return 0, nil
}
