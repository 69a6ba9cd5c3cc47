package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
)

// logIDKey is under which the stream's metadata holds the log's ID.
const logIDKey = "annals-log-id"

func streamName(name string) string { return "ANNALS_" + name }
func subject(name string) string    { return "annals." + name + ".log" }

// streamConfig is how the stream of a log is made.
func streamConfig(name string, replicas int, id driver.ID) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        streamName(name),
		Description: "an Annals log",
		Subjects:    []string{subject(name)},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Replicas:    replicas,
		DenyDelete:  true,
		DenyPurge:   true,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		MaxMsgSize:  -1,
		Metadata:    map[string]string{logIDKey: id.String()},
	}
}

// StreamError says that the stream is not set up so that it can keep a log.
type StreamError struct {
	Stream string
	Faults []string // "replicas is 1, want at least 3", …
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("the stream %s cannot keep a log: %s", e.Stream, strings.Join(e.Faults, "; "))
}

// checkStream returns a *StreamError unless the stream is as it must be, and the log's ID.
func checkStream(c jetstream.StreamConfig, want jetstream.StreamConfig) (driver.ID, error) {
	e := &StreamError{Stream: c.Name}
	must := func(ok bool, format string, args ...any) {
		if !ok {
			e.Faults = append(e.Faults, fmt.Sprintf(format, args...))
		}
	}
	must(c.Storage == want.Storage, "storage is %s, want %s", c.Storage, want.Storage)
	must(c.Replicas >= want.Replicas, "replicas is %d, want at least %d", c.Replicas, want.Replicas)
	must(c.Retention == want.Retention, "retention is %s, want %s", c.Retention, want.Retention)
	must(c.Discard == want.Discard, "discard is %s, want %s", c.Discard, want.Discard)
	must(c.DenyDelete, "messages can be deleted")
	must(c.DenyPurge, "it can be purged")
	must(!c.AllowRollup, "rollups are allowed")
	must(!c.AllowMsgTTL, "messages may have a time to live")
	must(c.MaxAge == 0, "messages are dropped after %s", c.MaxAge)
	must(c.MaxMsgs <= 0 && c.MaxMsgsPerSubject <= 0, "the number of messages is limited")
	must(c.MaxMsgSize <= 0, "the size of messages is limited to %d", c.MaxMsgSize)
	must(c.Mirror == nil && len(c.Sources) == 0, "it is fed by other streams")
	must(!c.NoAck, "it acknowledges nothing")
	must(c.PersistMode == jetstream.DefaultPersistMode, "it persists asynchronously")
	must(len(c.Subjects) == 1 && c.Subjects[0] == want.Subjects[0], "its subjects are %q, want %q", c.Subjects, want.Subjects)
	id, err := uuid.Parse(c.Metadata[logIDKey])
	must(err == nil && id != driver.ID{}, "its metadata names no log (%s)", logIDKey)
	if e.Faults != nil {
		return driver.ID{}, e
	}
	return id, nil
}

// findStream finds the log's stream, or makes it, for a log with ID id unless another has it.
func (s *Store) findStream(ctx context.Context, id driver.ID, create bool) (driver.ID, error) {
	want := streamConfig(s.opts.Name, s.opts.Replicas, id)
	info, err := s.streamInfo(ctx)
	for errors.Is(err, jetstream.ErrStreamNotFound) && create {
		var made jetstream.Stream
		made, err = s.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was quicker
			info, err = s.streamInfo(ctx)
			continue
		}
		if err == nil {
			info = made.CachedInfo()
			s.stream.Store(&made)
		}
	}
	if err != nil {
		return driver.ID{}, s.clusterError("the stream "+want.Name, err)
	}
	s.created = info.Created
	return checkStream(info.Config, want)
}

func (s *Store) streamInfo(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := s.findJS(ctx, streamName(s.opts.Name))
	if err != nil {
		return nil, err
	}
	s.stream.Store(&stream)
	return stream.CachedInfo(), nil
}

// findJS looks a stream up, again as long as ctx lasts: while the servers elect
// who answers, no one does.
func (s *Store) findJS(ctx context.Context, name string) (jetstream.Stream, error) {
	for {
		once, cancel := context.WithTimeout(ctx, max(s.opts.Takeover/2, 500*time.Millisecond))
		stream, err := s.js.Stream(once, name)
		cancel()
		retry := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders)
		if !retry || ctx.Err() != nil {
			return stream, err
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// clusterError returns err as one that says what of the cluster failed, and
// that it is unavailable where that is so.
func (s *Store) clusterError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%s: %w: no answer within %s; has the cluster a quorum? %w", what, driver.ErrUnavailable, s.opts.Timeout, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, driver.ErrUnavailable, err)
}

// message reads one message of the stream from its leader.
func (s *Store) message(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	raw, err := (*s.stream.Load()).GetMsg(ctx, seq)
	if err != nil {
		return nil, err
	}
	return raw.Data, nil
}
