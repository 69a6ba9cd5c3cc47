package filestore

import (
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
)

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
