package replica

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// errBehind says that the stream has gone on behind what this node has taken in.
var errBehind = errors.New("the stream has gone on")

// claim publishes that this node sequences from now on. It returns false if the
// stream has something that this node has not taken in yet.
func (s *Store) claim(ctx context.Context) (bool, error) {
	t := &s.tail
	m := message{kind: claimKind, logID: s.logID, epoch: t.newEpoch(), after: t.seq, first: t.head + 1, head: t.root, parts: 1,
		body: claim{s.id, s.opts.Node}.append(nil)}
	err := s.send(ctx, &m)
	if errors.Is(err, errBehind) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.seq, t.epoch, t.parts, t.body = t.seq+1, m.epoch, 0, nil
	s.sequence.Store(t.seq)
	s.setRole(role{node: s.id, name: s.opts.Node, epoch: m.epoch})
	return true, s.seed(ctx)
}

// seed publishes what this node's copy has and the stream has not.
func (s *Store) seed(ctx context.Context) error {
	for {
		info, err := s.log.Info(ctx)
		if err != nil || info.Head <= s.tail.head {
			return err
		}
		var records []driver.Record
		bytes := 0
		for r, err := range s.log.Read(ctx, driver.Query{}, driver.ReadOptions{After: s.tail.head}) {
			if err != nil {
				return err
			}
			if bytes > s.order.GroupBytes && r.Batch == r.Position {
				break
			}
			records = append(records, r)
			bytes += r.Size()
		}
		if err := s.publish(records)(); err != nil {
			return fmt.Errorf("publish the log from position %d: %w: %w", s.tail.head+1, driver.ErrUnavailable, err)
		}
	}
}

// lead lets this node's copy judge appends until another node has taken over,
// an order fails, or the store is closed.
func (s *Store) lead() {
	epoch := s.tail.epoch
	s.opts.Logger.Info("this node sequences the log", "node", s.opts.Node, "epoch", epoch, "position", s.tail.head)
	select {
	case <-s.deposed:
	default:
	}
	s.lease.announce(epoch)
	s.serving.Lock()
	s.leadEpoch = epoch
	s.order.Leading.Store(true)
	s.serving.Unlock()
	s.lane.stir()
	check := time.NewTicker(s.opts.Takeover)
	defer check.Stop()
	for leading := true; leading; {
		select {
		case <-check.C:
			if lost := s.streamLost(); lost {
				leading = false // following finds out more
			}
		case <-s.deposed:
			leading = false
		case <-s.lease.changes:
			leading = s.lease.held()
		case <-s.ctx.Done():
			leading = false
		}
	}
	s.order.Leading.Store(false)
	s.serving.Lock()
	s.leadEpoch = 0
	s.serving.Unlock()
	_ = s.log.Import(context.Background(), nil) // what is under way has its answer then
	s.lane.stir()
	info, err := s.log.Info(context.Background())
	if err == nil && info.Head < s.tail.head {
		s.tail = s.previous // the last group is in the stream, and could not be written here
		s.lease.release()   // another node may be better off
	}
	s.tail.parts, s.tail.body = 0, nil
	s.sequence.Store(s.tail.seq)
	s.opts.Logger.Info("this node no longer sequences the log", "node", s.opts.Node, "epoch", epoch, "position", s.tail.head)
}

// streamLost reports whether the stream is gone, or another one by now.
func (s *Store) streamLost() bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Takeover)
	defer cancel()
	info, err := s.streamInfo(ctx)
	return errors.Is(err, jetstream.ErrStreamNotFound) || err == nil && !info.Created.Equal(s.created)
}

// publish hands a group to the cluster; see quorum.Order. The tail is the
// caller's until wait has returned.
func (s *Store) publish(records []driver.Record) (wait func() error) {
	t := &s.tail
	next := tail{epoch: t.epoch}
	tree := t.tree.Clone()
	var hasher merkle.Hasher
	for i := range records {
		tree.Append(hasher.Leaf(&records[i]))
	}
	if err := next.set(tree); err != nil {
		return func() error { return err }
	}
	body := appendGroup(nil, records)
	copy(body, next.root[:])
	done := make(chan error, 1)
	go func() {
		seq, err := s.sendGroup(s.ctx, records[0].Position, body)
		next.seq = seq
		done <- err
	}()
	return func() error {
		if err := <-done; err != nil {
			return err
		}
		s.previous, s.tail = s.tail, next
		s.sequence.Store(next.seq)
		return nil
	}
}

// sendGroup publishes a group in as many messages as it takes, each when the
// one before is in the stream: no author ever publishes behind what it does
// not know. It returns the sequence of the last.
func (s *Store) sendGroup(ctx context.Context, first driver.Position, body []byte) (uint64, error) {
	t := &s.tail
	size := s.payload()
	m := message{kind: groupKind, logID: s.logID, epoch: t.epoch, after: t.seq, first: first, head: t.root,
		parts: uint32((len(body) + size - 1) / size)}
	for ; m.part < m.parts; m.part++ {
		m.body = body[:min(size, len(body))]
		body = body[len(m.body):]
		if err := s.send(ctx, &m); err != nil {
			return 0, err
		}
		m.after++
	}
	return m.after, nil
}

const expectedLastSeq = "Nats-Expected-Last-Sequence"

// isWrongSequence reports whether err says that the stream, or a key, does not
// end at the sequence that was expected, or is just about to change.
func isWrongSequence(err *jetstream.APIError) bool {
	return err.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || err.ErrorCode == 10164
}

// send publishes m right behind sequence m.after and returns when the cluster
// has it for good. errBehind says that something else is there, any other error
// that it is not known. A message is sent again as long as there is no answer:
// at most one can get the place.
func (s *Store) send(ctx context.Context, m *message) error {
	data := m.append(make([]byte, 0, messageHeader+len(m.body)+messageTrailer))
	deadline := time.Now().Add(s.opts.Timeout)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		seq, err := s.sendOnce(ctx, data, m.after)
		switch {
		case err == nil && seq == m.after+1:
			return nil
		case err == nil:
			return fmt.Errorf("the cluster put at sequence %d what was to come behind %d", seq, m.after)
		case errors.Is(err, errBehind):
			there, err := s.message(ctx, m.after+1)
			if err == nil && bytes.Equal(there, data) {
				return nil // an earlier acknowledgement was lost
			}
			if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) && s.streamShort(ctx, m.after) {
				return errBehind
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return s.clusterError("publish", err)
		}
		sleep(ctx, pause)
	}
}

// streamShort reports whether the stream ends before sequence after: it has lost
// something, or is another one.
func (s *Store) streamShort(ctx context.Context, after uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Takeover)
	defer cancel()
	info, err := s.streamInfo(ctx)
	return err == nil && info.State.LastSeq < after
}

// sendOnce publishes data once and returns the sequence that it got.
func (s *Store) sendOnce(ctx context.Context, data []byte, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.opts.Takeover/3, 500*time.Millisecond)) // then it may be lost
	defer cancel()
	msg := &nats.Msg{Subject: subject(s.opts.Name), Data: data, Header: nats.Header{expectedLastSeq: {strconv.FormatUint(after, 10)}}}
	reply, err := s.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Error != nil {
		if isWrongSequence(ack.Error) {
			return 0, errBehind
		}
		return 0, ack.Error
	}
	return ack.Seq, nil
}
