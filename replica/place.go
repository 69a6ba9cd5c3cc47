package replica

import (
	"context"
	"fmt"

	"github.com/annals-db/annals/driver"
)

// place finds where in the stream this node's copy ends. The sequence is not
// kept beside the copy, so that any copy of the log can join: that of a node
// that was away, a backup, an old disk. The position that messages begin at
// never falls along the stream, so it is found by halving.
func (s *Store) place(ctx context.Context) error {
	info, err := s.log.Info(ctx)
	if err != nil {
		return err
	}
	stream, err := (*s.stream.Load()).Info(ctx)
	if err != nil {
		return s.clusterError("the stream's state", err)
	}
	first, last := max(stream.State.FirstSeq, 1), stream.State.LastSeq
	unreachable := fmt.Errorf("this node's log ends at position %d, and the cluster's stream can be read from sequence %d on only, which lies behind it: restore a newer backup or another node's copy", info.Head, first)
	next, err := s.search(ctx, first, last, info.Head+1)
	if err != nil {
		return err
	}
	// The last message before it begins the group in which this node's copy
	// ends, or right behind it.
	for at := next - 1; at >= first; at-- {
		m, _, ok, err := s.probe(ctx, at, at)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		start, err := s.search(ctx, first, at, m.first-1)
		if err != nil {
			return err
		}
		if m, start, _, err = s.probe(ctx, start, at); err != nil {
			return err
		}
		if m.part != 0 {
			return unreachable
		}
		return s.begin(ctx, start-1, m.first-1)
	}
	if first > 1 {
		return unreachable
	}
	return s.begin(ctx, 0, 0)
}

// begin sets the tail to stream sequence seq, which makes the log up to head.
func (s *Store) begin(ctx context.Context, seq uint64, head driver.Position) error {
	tree, err := s.log.TreeRange(ctx, head)
	if err != nil {
		return err
	}
	s.tail = tail{seq: seq}
	s.sequence.Store(seq)
	return s.tail.set(tree)
}

// search returns the sequence of the first message from low to high that
// begins at a position after p, high+1 if there is none.
func (s *Store) search(ctx context.Context, low, high uint64, p driver.Position) (uint64, error) {
	for low <= high {
		mid := low + (high-low)/2
		m, at, ok, err := s.probe(ctx, mid, high)
		switch {
		case err != nil:
			return 0, err
		case !ok || m.first > p:
			high = mid - 1
		default:
			low = at + 1
		}
	}
	return low, nil
}

// probe returns the header of the first message of the log from sequence at to
// last, and its sequence; ok is false if there is none.
func (s *Store) probe(ctx context.Context, at, last uint64) (m message, seq uint64, ok bool, err error) {
	for ; at <= last; at++ {
		data, err := s.message(ctx, at)
		if err != nil {
			return m, 0, false, s.clusterError(fmt.Sprintf("message %d of the stream", at), err)
		}
		if m, err := parseMessage(data); err == nil && m.logID == s.logID && m.after == at-1 {
			return m, at, true, nil
		}
	}
	return m, 0, false, nil
}
