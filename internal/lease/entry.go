package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
)

// Entry is a lease as it lies in the state.
type Entry struct {
	Holder   string          `json:"holder,omitempty"`   // who holds it, "" if nobody does
	Instance string          `json:"instance,omitempty"` // of the holder's keeper, chosen at random
	Process  string          `json:"process,omitempty"`  // of the holder, chosen at random
	Token    uint64          `json:"token"`              // rises with each taking
	Beat     uint64          `json:"beat"`               // rises with each write
	TTL      int64           `json:"ttl_ms"`             // milliseconds without a write after which it may be taken
	Renewed  time.Time       `json:"renewed"`            // by the holder's wall clock: for people, nothing is decided by it
	Value    json.RawMessage `json:"value,omitempty"`    // what is kept beside the lease
}

// Read returns the lease under key and the key's revision. One that was never
// taken is an error that wraps [driver.ErrNotFound].
func Read(ctx context.Context, state driver.State, key string) (Entry, uint64, error) {
	b, revision, err := state.Load(ctx, key)
	if err != nil {
		return Entry{}, 0, err
	}
	var e Entry
	if err := json.Unmarshal(b, &e); err != nil {
		return Entry{}, 0, fmt.Errorf("state %q is not a lease: %w", key, err)
	}
	return e, revision, nil
}

func (e Entry) ttl() time.Duration { return time.Duration(e.TTL) * time.Millisecond }
