package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
)

// slow is a sink that takes a second for each message.
type slow struct{ broker *broker }

func (s slow) Publish(ctx context.Context, messages []relay.Message) error {
	for i := range messages {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.broker.Publish(ctx, messages[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func TestABatchThatTakesTooLongIsPublishedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, b := memstore.New(nil), newBroker()
		appendEvents(t, log, 100)
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour) // of the bubble's time
		defer cancel()
		at, err := newRelay(t, log, slow{b}, relay.Options{}).Drain(ctx)
		if err != nil || at != 100 || !slices.Equal(b.ids(), numbers(1, 100)) {
			t.Errorf("published %v up to position %d, %v", b.ids(), at, err)
		}
	})
}

// robbed is a sink whose relay another process takes over while it refuses a message.
type robbed struct{ state driver.State }

func (r robbed) Publish(ctx context.Context, _ []relay.Message) error {
	key := "relay/out/checkpoint"
	value, revision, err := r.state.Load(ctx, key)
	if err == nil {
		var entry map[string]any
		if err = json.Unmarshal(value, &entry); err == nil {
			entry["instance"], entry["token"] = "another", entry["token"].(float64)+1
			if value, err = json.Marshal(entry); err == nil {
				_, err = r.state.Save(ctx, key, value, revision)
			}
		}
	}
	if err != nil {
		return err
	}
	return relay.Permanent(errors.New("refused"))
}

func TestWhoHasLostTheRelaySetsNothingAside(t *testing.T) {
	log := memstore.New(nil)
	appendEvents(t, log, 1)
	r := newRelay(t, log, robbed{log.State()}, relay.Options{})
	if _, err := r.Drain(t.Context()); err == nil {
		t.Error("it drained what was taken from it")
	}
	if letter, err := r.Letters().Find(t.Context(), "item-0"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("there is a dead letter: %+v, %v", letter, err)
	}
}

// silent is a state that gives no answer to a write while it is cut off, until
// whoever wants it gives up.
type silent struct {
	driver.State
	cut *atomic.Bool
}

func (s silent) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if s.cut.Load() {
		<-ctx.Done()
		s.cut.Store(false)
		return 0, ctx.Err()
	}
	return s.State.Save(ctx, key, value, expect)
}

// cutting is a sink that takes the first message when the state is cut off.
type cutting struct {
	cut   *atomic.Bool
	calls atomic.Int32
	again chan struct{} // closed when it is called again
}

func (c *cutting) Publish(context.Context, []relay.Message) error {
	switch c.calls.Add(1) {
	case 1:
		c.cut.Store(true)
	case 2:
		close(c.again)
	}
	return nil
}

func TestARelayOutlivesAStateThatGivesNoAnswer(t *testing.T) {
	log := memstore.New(nil)
	appendEvents(t, log, 1)
	state := silent{log.State(), new(atomic.Bool)}
	sink := &cutting{cut: state.cut, again: make(chan struct{})}
	r := newRelay(t, log, sink, relay.Options{State: state, TTL: 300 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	select {
	case err := <-ended:
		t.Fatalf("Run returned %v", err)
	case <-sink.again:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}
