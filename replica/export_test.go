package replica

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Outdate makes this node one that held the lease before it was paused, and
// cannot find out whose it is now.
func (s *Store) Outdate() {
	s.lease.busy.Lock()
	defer s.lease.busy.Unlock()
	s.lease.kv = unreachable{s.lease.kv}
	s.lease.mu.Lock()
	defer s.lease.mu.Unlock()
	s.lease.mine, s.lease.valid = true, time.Now()
}

type unreachable struct{ jetstream.KeyValue }

func (unreachable) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, nats.ErrTimeout
}

func (unreachable) Create(context.Context, string, []byte, ...jetstream.KVCreateOpt) (uint64, error) {
	return 0, nats.ErrTimeout
}

func (unreachable) Update(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, nats.ErrTimeout
}
