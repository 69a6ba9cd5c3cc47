package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
)

// run follows the stream and, while the node holds the lease, leads, until the
// store is closed or stops. caught receives once, when the node has all that
// the stream had at first, or cannot get it.
func (s *Store) run(caught chan<- error) {
	opening := caught
	pause := time.Duration(0)
	for s.ctx.Err() == nil {
		begun := time.Now()
		err := s.follow(func(err error) {
			if opening != nil {
				opening <- err
				opening = nil
			}
		})
		switch {
		case s.ctx.Err() != nil:
		case err == nil: // this node's claim is in the stream
			s.lead()
		case s.permanent(err):
			if opening != nil {
				opening <- err
			}
			s.stop(err)
			s.lease.release()
			return
		default:
			s.setStuck(err)
			s.opts.Logger.Warn("following the log failed and is begun again", "node", s.opts.Node, "error", err)
		}
		if time.Since(begun) > time.Second {
			pause = 0
		}
		pause = min(pause*2+10*time.Millisecond, time.Second)
		if err != nil {
			sleep(s.ctx, pause)
		}
	}
	s.lease.release()
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Store) setStuck(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = err
}

// lostError says that the stream no longer has what this node took from it.
type lostError struct{ reason string }

func (e *lostError) Error() string { return e.reason }

// permanent reports whether err stops this node.
func (s *Store) permanent(err error) bool {
	return !errors.Is(err, errGap) && !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded)
}

// follow takes the stream in until this node's claim is in it. It tells caught
// when it has all that the stream had when it began.
func (s *Store) follow(caught func(error)) error {
	end, err := s.checkStream()
	if err != nil {
		return err
	}
	in := make(chan jetstream.Msg, 64)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	consumer, err := s.consume(ctx, in)
	if err != nil {
		return err
	}
	defer consumer.Stop()
	tick := time.NewTicker(s.opts.Takeover / 12)
	defer tick.Stop()
	last := time.Now() // when something came, or nothing had to
	checked := time.Now()
	for {
		if s.tail.seq >= end {
			if err := s.complete(); err != nil {
				return err
			}
			caught(nil)
			if s.lease.trusted() {
				if claimed, err := s.claim(ctx); claimed || err != nil {
					return err
				}
			}
		}
		select {
		case msg := <-in:
			meta, err := msg.Metadata()
			if err == nil {
				err = s.take(ctx, meta.Sequence.Stream, msg.Data())
			}
			if err != nil {
				return err
			}
			s.sequence.Store(s.tail.seq)
			s.setStuck(nil)
			last = time.Now()
		case <-consumer.Closed():
			return fmt.Errorf("the consumer has ended: %w", driver.ErrUnavailable)
		case <-s.lease.changes:
			s.lease.take()
		case <-tick.C:
			s.lease.take()
			if s.lease.sequence() <= s.tail.seq {
				last = time.Now()
			}
			if time.Since(checked) > s.opts.Takeover {
				// A consumer does not tell that its stream is another one by now.
				if _, err := s.checkStream(); err != nil {
					return err
				}
				checked = time.Now()
			}
			if time.Since(last) > s.opts.Takeover {
				return fmt.Errorf("nothing comes, though the stream is at sequence %d: %w", s.lease.sequence(), driver.ErrUnavailable)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkStream returns the stream's last sequence, or an error if it has lost
// what this node took from it.
func (s *Store) checkStream() (end uint64, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Takeover)
	defer cancel()
	info, err := s.streamInfo(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, &lostError{"the cluster has lost the log's stream; it can be published anew from this node's copy, see Options.Seed"}
	}
	if err != nil {
		return 0, s.clusterError("the stream", err)
	}
	if !info.Created.Equal(s.created) {
		return 0, &lostError{fmt.Sprintf("the log's stream was made anew at %s; open this node again", info.Created.UTC().Format(time.RFC3339))}
	}
	if err := s.behind(info.State.LastSeq, time.Now()); err != nil {
		return 0, err
	}
	if info.State.FirstSeq > s.tail.seq+1 {
		return 0, &lostError{fmt.Sprintf("the stream can be read from sequence %d on only, and this node has it up to %d: restore a newer backup or another node's copy", info.State.FirstSeq, s.tail.seq)}
	}
	return info.State.LastSeq, nil
}

// staleAnswers is how long a server that was paused may answer for the stream
// as it knew it: until it hears that another leads, or notices that nobody
// follows it, which takes nats-server 10 s.
const staleAnswers = 15 * time.Second

// behind returns an error if the stream is said to end before what this node
// took from it. That is a loss only when it stays so.
func (s *Store) behind(end uint64, now time.Time) error {
	if end >= s.tail.seq {
		s.since = time.Time{}
		return nil
	}
	if s.since.IsZero() {
		s.since = now
	}
	if now.Sub(s.since) < staleAnswers {
		return fmt.Errorf("the server that answers knows the stream up to sequence %d, and this node has it up to %d: %w", end, s.tail.seq, driver.ErrUnavailable)
	}
	return &lostError{fmt.Sprintf("the stream ends at sequence %d, and this node had it up to %d: the cluster has lost what it acknowledged", end, s.tail.seq)}
}

// complete returns an error if this node's copy has more than the stream, all of which is taken in.
func (s *Store) complete() error {
	info, err := s.log.Info(s.ctx)
	if err != nil {
		return err
	}
	if info.Head > s.tail.head && !s.opts.Seed {
		return &lostError{fmt.Sprintf("the stream ends at position %d, and this node's log at %d: either another node is still publishing it or the cluster has lost what it acknowledged; Options.Seed publishes the rest from this copy", s.tail.head, info.Head)}
	}
	return nil
}

// consume has the messages behind the tail sent to in, in order.
func (s *Store) consume(ctx context.Context, in chan<- jetstream.Msg) (jetstream.ConsumeContext, error) {
	bounded, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	c, err := (*s.stream.Load()).OrderedConsumer(bounded, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   s.tail.seq + 1,
	})
	if err != nil {
		return nil, s.clusterError("a consumer of the stream", err)
	}
	consuming, err := c.Consume(func(msg jetstream.Msg) {
		select {
		case in <- msg:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(64), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		s.opts.Logger.Debug("the consumer of the stream", "node", s.opts.Node, "error", err)
	}))
	if err != nil {
		return nil, s.clusterError("a consumer of the stream", err)
	}
	return consuming, nil
}
