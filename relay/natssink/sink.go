// Package natssink publishes a relay's messages to NATS JetStream, as
// CloudEvents in the binary content mode: the event's data are the message's,
// its attributes the headers "ce-type" and so on.
//
// Start with [New]. Each message carries its [relay.Message.MessageID] as
// Nats-Msg-Id, by which the stream drops repeats within its duplicate window;
// after that a consumer tells them by ce-id, the position, which rises.
package natssink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
)

// Options are what [New] may be told.
type Options struct {
	// Subject returns the subject that a message is published to. Defaults to
	// "events.CATEGORY.TYPE", in which dots, blanks and wildcards are
	// underscores; CATEGORY is "none" where there is no stream.
	Subject func(*relay.Message) string
	// Structured publishes the whole CloudEvent as JSON instead. Defaults to false.
	Structured bool
	// Parallel is how many messages may wait for their acknowledgement at
	// once. Defaults to 256.
	Parallel int
}

// Sink publishes to JetStream.
type Sink struct {
	js   jetstream.JetStream
	opts Options
}

// New returns a sink that publishes by js. The streams for its subjects are
// the caller's to make; their duplicate window should be longer than a relay is
// ever out of action.
func New(js jetstream.JetStream, opts *Options) *Sink {
	s := &Sink{js: js}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Subject == nil {
		s.opts.Subject = Subject
	}
	if s.opts.Parallel <= 0 {
		s.opts.Parallel = 256
	}
	return s
}

// Subject is the default of [Options.Subject].
func Subject(m *relay.Message) string {
	category := "none"
	if m.Record.Stream != "" {
		category = driver.Category(m.Record.Stream)
	}
	return "events." + token(category) + "." + token(m.Record.Type)
}

var unsafe = strings.NewReplacer(".", "_", "*", "_", ">", "_", " ", "_", "\t", "_", "\r", "_", "\n", "_")

func token(s string) string {
	if s == "" {
		return "_"
	}
	return unsafe.Replace(s)
}

// Publish publishes messages; see [relay.Sink].
func (s *Sink) Publish(ctx context.Context, messages []relay.Message) error {
	return relay.InOrder(ctx, messages, s.opts.Parallel, s.publish)
}

func (s *Sink) publish(ctx context.Context, m *relay.Message) error {
	msg, err := s.message(m)
	if err == nil {
		_, err = s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(m.MessageID()))
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("publish position %s to %q: %w", m.ID, msg.Subject, err)
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || errors.Is(err, nats.ErrBadHeaderMsg) || isTooLarge(err) {
		return relay.Permanent(err)
	}
	return err
}

// isTooLarge reports whether the stream refuses the message for its size.
func isTooLarge(err error) bool {
	const messageExceedsMaximum = 10054 // JSStreamMessageExceedsMaximumErr
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == messageExceedsMaximum
}

func (s *Sink) message(m *relay.Message) (*nats.Msg, error) {
	msg := nats.NewMsg(s.opts.Subject(m))
	if s.opts.Structured {
		data, err := m.MarshalJSON()
		msg.Header.Set("content-type", "application/cloudevents+json")
		msg.Data = data
		return msg, err
	}
	for _, a := range m.Attributes() {
		// A header is one line; what else is in a name is let be, as NATS does.
		msg.Header.Set("ce-"+a.Name, oneLine.Replace(a.Value))
	}
	msg.Header.Set("content-type", m.ContentType())
	msg.Data = m.Record.Data
	return msg, nil
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")
