package pgstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// leavesPage is how many leaves are fetched at once.
const leavesPage = 50_000

// tree is the hash tree over the leaves up to where a tree head was asked for.
type tree struct {
	mu     sync.Mutex
	leaves merkle.Range
}

// TreeHead returns the RFC 6962 tree head over the leaves of the records up to
// and with p, as the rows keep them; that each is the leaf of its row is
// checked where the row is read, and by [Store.Verify]. Asked for rising
// positions it reads each leaf once.
func (s *Store) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return [32]byte{}, err
	}
	t := &s.tree.leaves
	if t.End() > uint64(p) {
		*t = merkle.Range{}
	}
	for t.End() < uint64(p) {
		next, err := s.leaves(ctx, t.End(), p)
		if err != nil {
			return [32]byte{}, err
		}
		for i := range next {
			t.Append(next[i])
		}
	}
	return t.Root()
}

// leaves returns the next page of leaves behind after, up to p.
func (s *Store) leaves(ctx context.Context, after uint64, p driver.Position) (page []merkle.Hash, err error) {
	err = s.query(ctx, "tree head", s.sql.leaves, []any{int64(after), clamp(p), leavesPage}, func(rows pgx.Rows) error {
		var position int64
		var leaf []byte
		if err := rows.Scan(&position, &leaf); err != nil {
			return err
		}
		if want := int64(after) + int64(len(page)) + 1; position != want || len(leaf) != len(merkle.Hash{}) {
			return &driver.CorruptError{Position: driver.Position(want), Place: "table " + s.opts.Schema + ".events", Reason: "the row or its leaf is missing"}
		}
		page = append(page, merkle.Hash(leaf))
		return nil
	})
	if err != nil || len(page) > 0 {
		return page, err
	}
	info, err := s.Info(ctx)
	if err == nil && p <= info.Head {
		err = &driver.CorruptError{Position: driver.Position(after + 1), Place: "table " + s.opts.Schema + ".events", Reason: "the row is missing"}
	} else if err == nil {
		err = &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: info.Head}
	}
	return nil, err
}
