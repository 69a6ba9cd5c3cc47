package filestore

import (
	"context"
	"fmt"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// hashCache keeps what tree heads were computed from, so that the next one
// hashes only what came since. Appends hash nothing.
type hashCache struct {
	mu     sync.Mutex
	full   []*merkle.Range // [i] is of all records of the segments before i
	newest *merkle.Range   // of all records up to the last one asked for
}

// TreeHead returns the RFC 6962 tree head over the leaves of the records up to
// and with p.
func (s *Store) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	r, err := s.TreeRange(ctx, p)
	if err != nil {
		return [32]byte{}, err
	}
	return r.Root()
}

// TreeRange returns the compact form of the hash tree over the records up to
// and with p, to be gone on with where [Store.TreeHead] gives only its head.
// It belongs to the caller.
func (s *Store) TreeRange(ctx context.Context, p driver.Position) (*merkle.Range, error) {
	v, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if p > v.head {
		if v.damage != nil {
			return nil, v.damage
		}
		return nil, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: v.head}
	}
	if p == 0 {
		return merkle.NewRange(0), nil
	}
	r, err := s.hashUpTo(v, p)
	if err != nil {
		return nil, s.ioError(err)
	}
	return r, nil
}

// hashUpTo returns the range of all records up to and with p. It belongs to the caller.
func (s *Store) hashUpTo(v *view, p driver.Position) (*merkle.Range, error) {
	c := &s.hashes
	c.mu.Lock()
	defer c.mu.Unlock()
	i := v.find(p)
	if err := c.fill(s, v, i); err != nil {
		return nil, err
	}
	r := c.full[i].Clone()
	if n := c.newest; n != nil && n.End() >= r.End() && n.End() <= uint64(p) {
		r = n.Clone()
	}
	if r.End() == uint64(p) {
		return r, nil
	}
	sc, err := s.scanFrom(v, i, driver.Position(r.End())+1)
	if err != nil {
		return nil, err
	}
	if err := hashRecords(sc, r, uint64(p), nil); err != nil {
		return nil, err
	}
	if r.End() != uint64(p) {
		return nil, sc.g.corrupt(sc.next, sc.at(), "the segment ends before it")
	}
	c.newest = r.Clone()
	return r, nil
}

// fill makes full[i].
func (c *hashCache) fill(s *Store, v *view, i int) error {
	if len(c.full) == 0 {
		c.full = []*merkle.Range{merkle.NewRange(0)}
	}
	for len(c.full) <= i {
		n := len(c.full) - 1
		next, err := s.segmentRange(v.segments[n])
		if err != nil {
			return err
		}
		r := c.full[n].Clone()
		if err := r.Merge(next); err != nil {
			return v.segments[n].corrupt(v.segments[n].header.first, 0, "hash tree: "+err.Error())
		}
		c.full = append(c.full, r)
	}
	return nil
}

// segmentRange returns the range of a full segment: from its index file, or
// else by hashing it.
func (s *Store) segmentRange(g *segment) (*merkle.Range, error) {
	var nodes []byte
	if x := g.index.Load(); x.sealed != nil {
		own, err := parseSealed(x.sealed.Extra())
		if err != nil {
			return nil, err
		}
		nodes = own.nodes
	} else {
		own, err := s.summarize(g, nil)
		if err != nil {
			return nil, err
		}
		nodes = own.nodes
	}
	var r merkle.Range
	if err := r.UnmarshalBinary(nodes); err != nil {
		return nil, g.corrupt(g.header.first, 0, "hash tree: "+err.Error())
	}
	return &r, nil
}

// hashRecords adds the leaves of the records that sc yields, up to leaf number
// end. each, if not nil, is shown every one of them.
func hashRecords(sc *scanner, r *merkle.Range, end uint64, each func(*driver.Record)) error {
	var h merkle.Hasher
	var rec driver.Record
	for r.End() < end {
		rec = driver.Record{}
		ok, err := sc.record(&rec)
		if err != nil || !ok {
			return err
		}
		r.Append(h.Leaf(&rec))
		if each != nil {
			each(&rec)
		}
	}
	return nil
}
