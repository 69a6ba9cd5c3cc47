package memstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// tree is the hash tree over the records up to where a tree head was asked for.
type tree struct {
	mu     sync.Mutex
	hasher merkle.Hasher
	leaves merkle.Range
}

// TreeHead returns the RFC 6962 tree head over the leaves of the records up to
// and with p. Asked for rising positions it hashes each record once.
func (s *Store) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	s.mu.RLock()
	records, head, closed := s.records, s.head(), s.closed
	s.mu.RUnlock()
	if closed {
		return [32]byte{}, driver.ErrClosed
	}
	if p > head {
		return [32]byte{}, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: head}
	}
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	if s.tree.leaves.End() > uint64(p) {
		s.tree.leaves = merkle.Range{}
	}
	for i := s.tree.leaves.End(); i < uint64(p); i++ {
		if err := ctx.Err(); err != nil {
			return [32]byte{}, err
		}
		s.tree.leaves.Append(s.tree.hasher.Leaf(&records[i]))
	}
	return s.tree.leaves.Root()
}
