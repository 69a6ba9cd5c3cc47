package sqlitestore

import (
	"context"
	"fmt"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// treeStep is how many positions lie between the stored parts of the tree.
const treeStep = 1024

// tree is the hash tree up to where a tree head was asked for last, so that
// rising positions are hashed once.
type tree struct {
	mu     sync.Mutex
	leaves *merkle.Range
}

// TreeHead returns the RFC 6962 tree head over the leaves of the records up to
// and with p.
func (s *Store) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	var root merkle.Hash
	err := s.use(ctx, func(c *conn) error {
		return c.within(func() (err error) {
			s.tree.leaves, root, err = c.treeHead(p, s.tree.leaves)
			return err
		})
	})
	if err != nil {
		s.tree.leaves = nil
		return [32]byte{}, s.found("look at", err)
	}
	return root, ctx.Err()
}

// treeHead returns the tree up to p and its head; from is one that is known.
func (c *conn) treeHead(p driver.Position, from *merkle.Range) (*merkle.Range, merkle.Hash, error) {
	head, _, err := c.headOf()
	if err != nil {
		return nil, merkle.Hash{}, err
	}
	if p > head {
		return nil, merkle.Hash{}, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: head}
	}
	leaves, err := c.rangeAt(p, from)
	if err != nil {
		return nil, merkle.Hash{}, err
	}
	root, err := leaves.Root()
	return leaves, root, err
}

// rangeAt returns the tree over the leaves up to p: from, if that is not nil
// and not beyond, else the last stored part before, with what follows.
func (c *conn) rangeAt(p driver.Position, from *merkle.Range) (*merkle.Range, error) {
	if from == nil || from.End() > uint64(p) || uint64(p)-from.End() > treeStep {
		var err error
		if from, err = c.storedRange(p); err != nil {
			return nil, err
		}
	}
	var bad error
	err := each(c.leaves, func() bool {
		want := driver.Position(from.End() + 1)
		var leaf merkle.Hash
		switch at := driver.Position(c.leaves.ColumnInt64(0)); {
		case at != want:
			bad = corruption(want, &damage{fmt.Sprintf("it is missing: position %d comes next", at)})
		case copy(leaf[:], c.leaves.ColumnRawBlob(1)) != len(leaf):
			bad = corruption(want, &damage{"its leaf is too short"})
		default:
			from.Append(leaf)
		}
		return bad == nil
	}, from.End(), p)
	switch {
	case bad != nil:
		return nil, bad
	case err != nil:
		return nil, corruption(driver.Position(from.End()+1), err)
	case from.End() != uint64(p):
		return nil, corruption(driver.Position(from.End()+1), &damage{"it is missing"})
	}
	return from, nil
}

// storedRange returns the last stored part of the tree that ends at or before p.
func (c *conn) storedRange(p driver.Position) (*merkle.Range, error) {
	r := &merkle.Range{}
	var bad error
	err := each(c.treeAt, func() bool {
		at := uint64(c.treeAt.ColumnInt64(0))
		if bad = r.UnmarshalBinary(c.treeAt.ColumnRawBlob(1)); bad == nil && (r.Begin() != 0 || r.End() != at) {
			bad = fmt.Errorf("it is of leaves %d to %d", r.Begin(), r.End())
		}
		if bad != nil {
			bad = &driver.CorruptError{Position: driver.Position(at), Place: fmt.Sprintf("annals_tree, position %d", at), Reason: bad.Error()}
		}
		return false
	}, p)
	if err == nil {
		err = bad
	}
	return r, corruption(p, err)
}

// grow adds a leaf to the tree, and stores the tree where it is due.
func (w *writer) grow(leaf merkle.Hash) error {
	w.tree.Append(leaf)
	if w.tree.End()%treeStep != 0 {
		return nil
	}
	nodes, err := w.tree.MarshalBinary()
	if err != nil {
		return err
	}
	return exec(w.addTree, w.tree.End(), nodes)
}
