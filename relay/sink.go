package relay

import (
	"context"
	"errors"
	"sync"
)

// Sink is where messages go.
type Sink interface {
	// Publish publishes messages and returns when all of them are accepted for
	// good. Those of one key must be accepted in the order given: none may be
	// if one of the same key before it was not; [InOrder] helps. After an error
	// it is called again with the same messages, so that some are published
	// twice, with the same ID. An error that wraps that of [Permanent] says that
	// trying again is of no use. One call is made at a time; the messages are
	// the relay's again when it returns.
	Publish(ctx context.Context, messages []Message) error
}

// Permanent marks an error after which trying again is of no use: the message
// itself is refused.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func isPermanent(err error) bool { return errors.As(err, new(permanent)) }

// InOrder calls publish for each message, up to parallel of them at once, those
// of one key one after the other, and returns the first error, after which it
// begins no more.
func InOrder(ctx context.Context, messages []Message, parallel int, publish func(context.Context, *Message) error) error {
	queues := map[string][]*Message{}
	var keys []string
	for i := range messages {
		m := &messages[i]
		if queues[m.Key] == nil {
			keys = append(keys, m.Key)
		}
		queues[m.Key] = append(queues[m.Key], m)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, max(parallel, 1))
	var wg sync.WaitGroup
	for _, key := range keys {
		room <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-room }()
			for _, m := range queues[key] {
				if ctx.Err() != nil {
					return
				}
				if err := publish(ctx, m); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
