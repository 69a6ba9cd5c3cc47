package move

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// DifferError says where the store copied to parts from the source. Nothing
// was copied.
type DifferError struct {
	Position driver.Position // the first that is not the same in both
	Source   driver.Position // the head of the source
	Target   driver.Position // the head of the store copied to
}

func (e *DifferError) Error() string {
	if e.Position > e.Source {
		return fmt.Sprintf("the store copied to goes on behind the source's end: it has position %d, and the source ends at %d", e.Position, e.Source)
	}
	return fmt.Sprintf("the store copied to is not empty and holds something else from position %d on (it ends at %d, the source at %d)", e.Position, e.Target, e.Source)
}

// prefix returns nil if the copy, whose head is target, is a beginning of the
// source, whose head is source.
func (c *copier) prefix(ctx context.Context, source, target driver.Position) error {
	same, err := c.same(ctx, min(source, target))
	if err != nil {
		return err
	}
	if same && target <= source {
		return nil
	}
	differ := &DifferError{Position: source + 1, Source: source, Target: target}
	if same {
		return differ
	}
	// The heads at a position are equal if and only if all up to it is.
	n := sort.Search(int(min(source, target)), func(n int) bool {
		same, searchErr := c.same(ctx, driver.Position(n+1))
		if searchErr != nil {
			err = searchErr
		}
		return searchErr != nil || !same
	})
	if err != nil {
		return err
	}
	differ.Position = driver.Position(n + 1)
	return differ
}

// same reports whether the two logs are the same up to and with p.
func (c *copier) same(ctx context.Context, p driver.Position) (bool, error) {
	if p == 0 {
		return true, nil
	}
	a, err := treeHead(ctx, c.from, p)
	if err != nil {
		return false, fmt.Errorf("the source's running hash at position %d: %w", p, err)
	}
	b, err := treeHead(ctx, c.to, p)
	if err != nil {
		return false, fmt.Errorf("the running hash at position %d of the store copied to: %w", p, err)
	}
	return a == b, nil
}

// verify compares the source and the copy by head and running hash.
func (c *copier) verify(ctx context.Context) error {
	info, err := c.to.Info(ctx)
	if err != nil {
		return fmt.Errorf("the store copied to: %w", err)
	}
	err = c.prefix(ctx, c.result.Head, info.Head)
	var differ *DifferError
	if errors.As(err, &differ) {
		return &driver.CorruptError{Position: differ.Position, Place: "the copy", Reason: "it does not hold what the source does"}
	} else if err != nil {
		return err
	}
	if info.Head != c.result.Head {
		return &driver.CorruptError{Position: info.Head + 1, Place: "the copy", Reason: fmt.Sprintf("it ends there, and was copied up to %d", c.result.Head)}
	}
	c.result.Hash, err = treeHead(ctx, c.to, info.Head)
	return err
}

// treeHead returns the tree head of log at p, from its records if need be.
func treeHead(ctx context.Context, log driver.Log, p driver.Position) ([32]byte, error) {
	if h, ok := log.(driver.Hasher); ok {
		return h.TreeHead(ctx, p)
	}
	if p == 0 {
		return merkle.EmptyRoot, nil
	}
	leaves := merkle.NewRange(0)
	var h merkle.Hasher
	for r, err := range log.Read(ctx, driver.Query{}, driver.ReadOptions{UpTo: p}) {
		if err != nil {
			return [32]byte{}, err
		}
		leaves.Append(h.Leaf(&r))
	}
	return leaves.Root()
}
