package filestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/mutant"
)

// check looks at the IDs and conditions of r over everything that can be read,
// and notes up to where. settled means that the log holds the batch already
// and r has its receipt.
//
// inTurn is for a request that will be judged in its turn: only what no later
// record can change is settled here; whole is set if the rest must be checked
// again by then.
func (s *Store) check(ctx context.Context, r *request, inTurn bool) (settled bool, err error) {
	v, err := s.current(ctx)
	if err != nil {
		return false, err
	}
	r.checked, r.whole = v.head, false
	if mutant.IDsAfterConditions {
		if err := s.checkConditions(v, r, inTurn); err != nil {
			return false, s.ioError(err)
		}
	}
	if settled, err = s.checkIDs(v, r); settled || err != nil {
		return settled, s.ioError(err)
	}
	conflict := s.checkConditions(v, r, inTurn)
	if conflict == nil {
		return false, nil
	}
	// What stands against it may be the batch itself, appended by another call
	// since its IDs were looked for.
	if settled, err = s.checkIDs(s.published(), r); settled || err != nil {
		return settled, s.ioError(err)
	}
	return false, s.ioError(conflict)
}

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

// published returns a view that holds everything that the index of the active
// segment and heads have told of so far, which the writer may be about to publish.
func (s *Store) published() *view {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	return s.view.Load()
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

// streamVersion returns the version that stream is at, 0 if it is absent.
func (s *Store) streamVersion(v *view, stream string) (uint64, error) {
	if version, ok := s.heads.get(stream); ok {
		return version, nil
	}
	version, _, err := s.lastOf(v, stream)
	return version, err
}

// lastOf returns the version and position of the last record of stream, 0 if
// there is none. It may lie behind v's head, if it is about to be published.
func (s *Store) lastOf(v *view, stream string) (version uint64, last driver.Position, err error) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		g := v.segments[i]
		x := g.index.Load()
		if x.mem != nil {
			if hit, version, ok := x.mem.LastOf(stream); ok {
				return version, hit.Position, nil
			}
			continue
		}
		for hit, err := range x.sealed.LastOf(stream) {
			if err != nil {
				return 0, 0, g.damagedIndex(err)
			}
			is := false
			err := s.peek(v, i, hit, func(rec *driver.Record) { is, version = rec.Stream == stream, rec.Version })
			if is || err != nil {
				return version, hit.Position, err
			}
		}
	}
	return 0, 0, nil
}

// peek shows look the record that hit names in segment i. Its memory is used
// again afterwards.
func (s *Store) peek(v *view, i int, hit index.Hit, look func(*driver.Record)) error {
	p, ok := s.peeks.Get().(*peeked)
	if !ok {
		p = &peeked{}
	}
	defer s.peeks.Put(p)
	p.rec = driver.Record{}
	p.dec.texts, p.dec.pairs = p.dec.texts[:0], p.dec.pairs[:0]
	p.mem.free = p.memory[:]
	g := v.segments[i]
	if err := s.load(g, hit.Position, hit.Offset, v.endOf(i), &p.mem, &p.dec, &p.rec); err != nil {
		return err
	}
	look(&p.rec)
	return nil
}

// peeked is the memory for a record that is looked at and forgotten.
type peeked struct {
	memory [1024]byte
	mem    arena
	dec    decoder
	rec    driver.Record
}

// checkConditions finds out the versions of r's streams and judges its
// conditions by v. A request in turn has only its versions found out, and
// what is certain to fail is left for the writer to have judged in turn.
func (s *Store) checkConditions(v *view, r *request, inTurn bool) error {
	if err := s.findStreams(v, r.streams); err != nil {
		return err
	}
	for i := range r.batch.Conditions {
		if err := s.checkCondition(v, r, i, inTurn); err != nil {
			return err
		}
	}
	return nil
}

// findStreams puts in the versions of streams, as of v or later.
func (s *Store) findStreams(v *view, streams []streamRef) error {
	s.heads.find(streams)
	var found map[string]uint64
	for i := range streams {
		ref := &streams[i]
		if ref.head != nil {
			continue
		}
		version, ok := found[ref.name]
		if !ok {
			var err error
			if version, err = s.streamVersion(v, ref.name); err != nil {
				return err
			}
			if found == nil && len(streams) > 1 {
				found = map[string]uint64{}
			}
			if found != nil {
				found[ref.name] = version
			}
		}
		ref.version = version
	}
	return nil
}

func (s *Store) checkCondition(v *view, r *request, i int, inTurn bool) error {
	c := &r.batch.Conditions[i]
	if c.Kind != driver.NoneAfterKind {
		version := r.streams[r.conds[i].stream].version
		if inTurn || holds(c, version) {
			return nil
		}
		return s.streamConflict(r, i)
	}
	if c.After > v.head {
		if inTurn {
			r.whole = true
			return nil
		}
		return &driver.PositionError{What: fmt.Sprintf("position %d", c.After), Head: v.head}
	}
	p, err := s.firstMatch(v, c.Query, c.After)
	if err != nil || p == 0 {
		return err
	}
	if inTurn {
		r.whole = true
		return nil
	}
	return s.conflict(r, i, p)
}

// conflict returns the error of condition i, which the record at p makes fail.
// The head it names can be read.
func (s *Store) conflict(r *request, i int, p driver.Position) error {
	return &driver.ConflictError{Condition: r.batch.Conditions[i], Index: i, Head: s.published().head, Position: p}
}

// streamConflict returns the error of condition i, which failed, nil if it
// holds by now. The head it names is one at which the stream is at the version
// it names.
func (s *Store) streamConflict(r *request, i int) error {
	c := &r.batch.Conditions[i]
	for try := 0; ; try++ {
		v := s.published()
		if try == 4 { // the writer is too quick: stop it for a moment
			s.publishing.Lock()
			defer s.publishing.Unlock()
			v = s.view.Load()
		}
		version, err := s.streamVersion(v, c.Stream)
		if err != nil {
			return err
		}
		if try < 4 && s.published() != v {
			continue // the version may be of a later view
		}
		r.streams[r.conds[i].stream].version = version
		if holds(c, version) {
			return nil
		}
		return &driver.ConflictError{Condition: *c, Index: i, Head: v.head, Version: version}
	}
}

// holds reports whether a stream condition holds at version.
func holds(c *driver.Condition, version uint64) bool {
	switch c.Kind {
	case driver.StreamAtKind:
		return version == c.Version
	case driver.StreamAbsentKind:
		return version == 0
	}
	return version > 0
}

// firstMatch returns a position after p that q matches, 0 if there is none in v.
func (s *Store) firstMatch(v *view, q driver.Query, p driver.Position) (driver.Position, error) {
	if p >= v.head {
		return 0, nil
	}
	if q.All() {
		return p + 1, nil
	}
	var dec decoder
	var mem arena
	for i := max(v.find(p+1), 0); i < len(v.segments); i++ {
		g := v.segments[i]
		exact := g.index.Load().mem != nil
		for hit, err := range g.hits(q, p, v.head, false) {
			if err != nil {
				return 0, g.damagedIndex(err)
			}
			if exact {
				return hit.Position, nil
			}
			var rec driver.Record
			if err := s.load(g, hit.Position, hit.Offset, v.endOf(i), &mem, &dec, &rec); err != nil {
				return 0, err
			}
			if q.Matches(&rec.Event) {
				return hit.Position, nil
			}
		}
	}
	return 0, nil
}
