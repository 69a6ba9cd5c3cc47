package filestore

import (
	"fmt"

	"github.com/annals-db/annals/driver"
)

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
