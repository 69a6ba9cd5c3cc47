package relay_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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
