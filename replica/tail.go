package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// tail is how far this node has taken the stream in: everything up to sequence
// seq, which makes the log up to head. The role's goroutine owns it; while the
// node leads, the writer of its copy does.
type tail struct {
	seq   uint64
	epoch uint64 // of the last claim, 0 if not known
	head  driver.Position
	tree  *merkle.Range
	root  [32]byte // of tree
	parts uint32   // of a group whose rest is to come, in body
	body  []byte
}

// set makes head and tree those of the records that tree covers.
func (t *tail) set(tree *merkle.Range) error {
	root, err := tree.Root()
	t.tree, t.root, t.head = tree, root, driver.Position(tree.End())
	return err
}

// errGap says that a message came out of turn; the consumer is to be made anew.
var errGap = errors.New("a message came out of turn")

// take takes in the message at seq, which is the next. It is a pure function of
// the messages before, so every node judges alike; an error stops this node.
//
// A message that is not of this log, or was not published right behind the one
// before it, is passed over and reported. Any other was published by a node that
// had taken in everything before it: if it does not fit, this node is wrong.
func (s *Store) take(ctx context.Context, seq uint64, data []byte) error {
	t := &s.tail
	if seq != t.seq+1 {
		return fmt.Errorf("%w: sequence %d behind %d; if it stays so, the server that leads the stream has lost what lies between", errGap, seq, t.seq)
	}
	m, err := parseMessage(data)
	var later *versionError
	switch {
	case errors.As(err, &later):
		return fmt.Errorf("the message at sequence %d: %w", seq, err)
	case err != nil:
		s.passOver(seq, err)
	case m.logID != s.logID:
		s.passOver(seq, fmt.Errorf("it is of log %s", m.logID))
	case m.after != seq-1:
		s.passOver(seq, fmt.Errorf("it was published to come right behind sequence %d", m.after))
	default:
		if err := s.fits(seq, &m); err != nil {
			return err
		}
		if m.kind == claimKind {
			err = s.takeClaim(&m)
		} else {
			err = s.takePart(ctx, &m)
		}
		if err != nil {
			return fmt.Errorf("the message at sequence %d: %w", seq, err)
		}
	}
	t.seq = seq
	return nil
}

// fits returns an error unless m continues the log as this node has it.
func (s *Store) fits(seq uint64, m *message) error {
	t := &s.tail
	if m.first != t.head+1 || m.head != t.root {
		return &driver.CorruptError{
			Position: min(m.first, t.head+1),
			Place:    s.log.Dir(),
			Reason: fmt.Sprintf("this node's log differs from the cluster's: at stream sequence %d the cluster's head is position %d with tree head %x, this node's is %d with %x",
				seq, m.first-1, m.head[:8], t.head, t.root[:8]),
		}
	}
	if t.epoch == 0 && m.kind == groupKind {
		t.epoch = m.epoch // this node began behind the claim, and the author had seen it
	}
	if m.kind == claimKind && m.epoch <= t.epoch || m.kind == groupKind && m.epoch != t.epoch {
		return fmt.Errorf("the message at sequence %d is of epoch %d while epoch %d lasts", seq, m.epoch, t.epoch)
	}
	return nil
}

func (s *Store) takeClaim(m *message) error {
	c, err := parseClaim(m.body)
	if err != nil {
		return err
	}
	t := &s.tail
	t.epoch, t.parts, t.body = m.epoch, 0, nil
	s.setRole(role{node: c.node, name: c.name, epoch: m.epoch})
	return nil
}

// takePart takes in a part of a group, and the group with its last.
func (s *Store) takePart(ctx context.Context, m *message) error {
	t := &s.tail
	if m.part == 0 {
		t.parts, t.body = 0, nil
	}
	if m.part != t.parts {
		return fmt.Errorf("part %d of a group comes where part %d should", m.part, t.parts)
	}
	body := m.body
	if m.parts > 1 {
		t.body = append(t.body, m.body...)
		body = t.body
	}
	t.parts++
	if t.parts < m.parts {
		return nil
	}
	g, err := parseGroup(body, m.first)
	if err != nil {
		return err
	}
	if err := s.apply(ctx, &g); err != nil {
		if m.parts > 1 {
			t.parts--
			t.body = t.body[:len(t.body)-len(m.body)]
		} else {
			t.parts = 0
		}
		return err
	}
	t.parts, t.body = 0, nil
	return nil
}

// apply puts the records of a group into this node's copy, or compares them
// with what it has.
func (s *Store) apply(ctx context.Context, g *group) error {
	info, err := s.log.Info(ctx)
	if err != nil {
		return err
	}
	tree := s.tail.tree.Clone()
	var hasher merkle.Hasher
	known := 0 // records of the group that the copy has
	for i := range g.records {
		tree.Append(hasher.Leaf(&g.records[i]))
		if g.records[i].Position > info.Head {
			continue
		}
		known++
		if last := i == len(g.records)-1; last || g.records[i].Position == info.Head {
			if err := s.compare(ctx, tree, g.records[0].Position); err != nil {
				return err
			}
		}
	}
	next := tail{}
	if err := next.set(tree); err != nil {
		return err
	}
	if next.root != g.head {
		return fmt.Errorf("its records from position %d do not give the tree head it names", g.records[0].Position)
	}
	if known < len(g.records) {
		if err := s.log.Import(ctx, g.records[known:]); err != nil {
			return err
		}
	}
	s.tail.tree, s.tail.root, s.tail.head = next.tree, next.root, next.head
	return nil
}

// compare returns an error unless this node's copy has the tree head of tree.
func (s *Store) compare(ctx context.Context, tree *merkle.Range, from driver.Position) error {
	want, err := tree.Root()
	if err != nil {
		return err
	}
	p := driver.Position(tree.End())
	got, err := s.log.TreeHead(ctx, p)
	if err != nil {
		return err
	}
	if got != want {
		return &driver.CorruptError{Position: from, Place: s.log.Dir(),
			Reason: fmt.Sprintf("this node's log differs from the cluster's between this position and %d", p)}
	}
	return nil
}

// passOver reports a message that is not of the log.
func (s *Store) passOver(seq uint64, why error) {
	s.mu.Lock()
	s.foreign++
	s.foreignSeq = seq
	s.mu.Unlock()
	s.opts.Logger.Warn("a message in the stream is not of the log and is passed over", "sequence", seq, "reason", why, "node", s.opts.Node)
}

// newEpoch returns an epoch greater than t's, and than that of a stream that
// was there before this one.
func (t *tail) newEpoch() uint64 { return max(t.epoch+1, uint64(time.Now().UnixMilli())) }
