package relay

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// session is what a relay knows while it holds the lease.
type session struct {
	r          *Relay
	lease      *lease.Lease
	checkpoint checkpoint
	letters    *Letters
	blocked    map[string]bool // keys that have a dead letter, at least when it was looked
	source     string
	most       int // records of a batch
}

func (r *Relay) begin(ctx context.Context, l *lease.Lease) (*session, error) {
	c, err := r.load(ctx, l)
	if err != nil {
		return nil, err
	}
	s := &session{r: r, lease: l, checkpoint: c, letters: r.Letters(), blocked: map[string]bool{}, source: r.source(c.Log), most: r.opts.Batch}
	for letter, err := range s.letters.All(ctx) {
		if err != nil {
			return nil, err
		}
		s.blocked[letter.Key] = true
	}
	if l.Value() == nil {
		err = s.save(ctx, c.Position) // where it begins is settled now
	}
	return s, err
}

func (r *Relay) source(log driver.ID) string {
	if r.opts.Source != "" {
		return r.opts.Source
	}
	return "urn:uuid:" + log.String()
}

// publish publishes what is behind the checkpoint up to head.
func (s *session) publish(ctx context.Context, head driver.Position) error {
	for s.checkpoint.Position < head {
		records, upTo, err := s.read(ctx, head)
		if err != nil {
			return err
		}
		messages, err := s.passBlocked(ctx, records)
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, messages); errors.Is(err, errTooMany) {
			s.most = len(messages) / 2
			s.r.opts.Logger.Warn("fewer events are published together", "relay", s.r.name, "events", s.most, "error", err)
			continue
		} else if err != nil {
			return err
		}
		if err := s.save(ctx, upTo); err != nil {
			return err
		}
		s.most = min(s.most+1, s.r.opts.Batch)
	}
	return nil
}

// batchBytes is how many bytes of events are published together at most, besides the last one.
const batchBytes = 4 << 20

// read reads the next batch, and returns up to where it is everything.
func (s *session) read(ctx context.Context, head driver.Position) (records []driver.Record, upTo driver.Position, err error) {
	size := 0
	o := driver.ReadOptions{After: s.checkpoint.Position, UpTo: head, Limit: s.most}
	for r, err := range s.r.log.Read(ctx, s.r.opts.Query, o) {
		if err != nil {
			return nil, 0, err
		}
		records = append(records, r)
		if size += r.Size(); len(records) == s.most || size > batchBytes {
			return records, r.Position, nil
		}
	}
	return records, head, nil
}

// passBlocked returns the messages of records, without those that wait behind a
// dead letter, which it puts there.
func (s *session) passBlocked(ctx context.Context, records []driver.Record) (messages []Message, err error) {
	behind := map[string][]driver.Position{}
	for i := range records {
		if key := s.r.opts.Key(&records[i]); s.blocked[key] {
			behind[key] = append(behind[key], records[i].Position)
		}
	}
	for key, positions := range behind {
		still, err := s.letters.wait(ctx, key, positions)
		if err != nil {
			return nil, err
		}
		if !still {
			delete(s.blocked, key)
		}
	}
	for i := range records {
		if m := s.r.message(&records[i], s.checkpoint.Log); !s.blocked[m.Key] {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

func (r *Relay) message(rec *driver.Record, log driver.ID) Message {
	return Message{ID: strconv.FormatUint(uint64(rec.Position), 10), Log: log, Relay: r.name, Key: r.opts.Key(rec), Source: r.source(log), Record: *rec}
}

// deliver publishes messages, and sets aside what cannot be.
func (s *session) deliver(ctx context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	attempts, err := s.r.attempt(ctx, messages)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if len(messages) == 1 {
		if err := s.lease.Renew(ctx); err != nil {
			return err // another may have published it, and would not know that its key waits
		}
		m := &messages[0]
		s.r.opts.Logger.Error("event set aside", "relay", s.r.name, "position", m.Record.Position, "key", m.Key, "attempts", attempts, "error", err)
		s.blocked[m.Key] = true
		return s.letters.add(ctx, m, attempts, err)
	}
	for i := range messages { // one cannot be: which?
		m := &messages[i]
		if s.blocked[m.Key] {
			if still, err := s.letters.wait(ctx, m.Key, []driver.Position{m.Record.Position}); err != nil {
				return err
			} else if still {
				continue
			}
			delete(s.blocked, m.Key)
		}
		if err := s.deliver(ctx, messages[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// attempt hands messages to the sink until it takes them, refuses them for
// good or the attempts are used up. It returns how many were made.
func (r *Relay) attempt(ctx context.Context, messages []Message) (int, error) {
	for n := 1; ; n++ {
		err := r.call(ctx, messages)
		if err == nil || ctx.Err() != nil {
			return n, err
		}
		if isPermanent(err) || errors.Is(err, errTooMany) || r.opts.Attempts > 0 && n >= r.opts.Attempts {
			return n, err
		}
		d := r.opts.Backoff(n)
		r.opts.Logger.Warn("publishing failed", "relay", r.name, "position", messages[0].Record.Position, "events", len(messages), "attempt", n, "again in", d, "error", err)
		if err := sleep(ctx, d); err != nil {
			return n, err
		}
	}
}

// errTooMany says that messages would have to be fewer.
var errTooMany = errors.New("they are not published within the time of one call")

func (r *Relay) call(ctx context.Context, messages []Message) error {
	bounded, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	err := r.sink.Publish(bounded, messages)
	if err != nil && len(messages) > 1 && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errTooMany, err)
	}
	return err
}
