package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// The keys of a group in the state.
func groupKey(name string) string   { return "group/" + name + "/group" }
func membersKey(name string) string { return "group/" + name + "/members" }
func partitionKey(name string, n int) string {
	return fmt.Sprintf("group/%s/partition/%04d", name, n)
}
func parkedKey(name string, n int) string { return fmt.Sprintf("group/%s/parked/%04d", name, n) }

// kept is what is fixed for a group.
type kept struct {
	Log        annals.ID       `json:"log"`
	Query      annals.Query    `json:"query"`
	Partitions int             `json:"partitions"`
	By         string          `json:"by"`
	After      annals.Position `json:"after"` // where it began
}

// checkpoint is kept beside the lease of a partition.
type checkpoint struct {
	Position annals.Position `json:"position"` // everything up to and with it is dealt with
	Last     annals.Position `json:"last"`     // the last event dealt with, 0 if none
	Event    annals.ID       `json:"event"`    // its ID
}

// member is a worker that takes part.
type member struct {
	Name    string    `json:"name"`
	Process string    `json:"process"`
	Beat    uint64    `json:"beat"`
	TTL     int64     `json:"ttl_ms"`
	Renewed time.Time `json:"renewed"`
}

// shelf is what is parked in a partition.
type shelf struct {
	Token  uint64   `json:"token"` // of the lease of who wrote it last
	Parked []Parked `json:"parked"`
}

// Parked is an event that was set aside.
type Parked struct {
	Position annals.Position `json:"position"`
	ID       annals.ID       `json:"id"`
	Stream   string          `json:"stream,omitempty"`
	Type     string          `json:"type"`
	Key      string          `json:"key"` // what it is kept in order by
	Error    string          `json:"error,omitempty"`
	Attempts int             `json:"attempts"` // how often it was tried
	At       time.Time       `json:"at"`       // when it was parked
	Waiting  bool            `json:"waiting,omitempty"`
	Replay   bool            `json:"replay,omitempty"`
}

// load reads the JSON under key into v and returns its revision, 0 if there is none.
func load(ctx context.Context, state driver.State, key string, v any) (uint64, error) {
	b, revision, err := state.Load(ctx, key)
	if errors.Is(err, driver.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return 0, fmt.Errorf("state %q is not a group's: %w", key, err)
	}
	return revision, nil
}

// change reads the JSON under key, has fn change it and saves it, again and
// again while others are faster. fn returns false to leave it as it is.
func change[V any](ctx context.Context, state driver.State, key string, fn func(v *V) (bool, error)) error {
	for {
		v := new(V)
		revision, err := load(ctx, state, key, v)
		if err != nil {
			return err
		}
		if changed, err := fn(v); err != nil || !changed {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err = state.Save(ctx, key, b, revision); !errors.Is(err, driver.ErrRevision) {
			return err
		}
	}
}

// register makes the group in the state, or checks that it is the same.
func (g *Group) register(ctx context.Context, state driver.State) (kept, error) {
	if g.name == "" || strings.ContainsAny(g.name, "/\x00") {
		return kept{}, errors.New("the name must not be empty nor have a slash")
	}
	info, err := g.db.Log().Info(ctx)
	if err != nil {
		return kept{}, err
	}
	want := kept{Log: info.LogID, Query: g.query, Partitions: g.opts.Partitions, By: g.by(), After: g.opts.After}
	if g.opts.FromHead {
		want.After = info.Head
	}
	if want.After > info.Head {
		return kept{}, &driver.PositionError{What: fmt.Sprintf("position %d", want.After), Head: info.Head}
	}
	var found kept
	err = change(ctx, state, groupKey(g.name), func(k *kept) (bool, error) {
		if k.Partitions == 0 {
			*k = want
			found = want
			return true, nil
		}
		found = *k
		return false, k.differs(&want)
	})
	return found, err
}

// differs says in what the group that is there is another one.
func (k *kept) differs(want *kept) error {
	switch a, b := k.Query.String(), want.Query.String(); {
	case k.Log != want.Log:
		return fmt.Errorf("it is of log %s, and this is log %s", k.Log, want.Log)
	case k.Partitions != want.Partitions:
		return fmt.Errorf("it has %d partitions, not %d", k.Partitions, want.Partitions)
	case k.By != want.By:
		return fmt.Errorf("its events are divided by %s, not by %s", k.By, want.By)
	case a != b:
		return fmt.Errorf("its events are %s, not %s", a, b)
	}
	return nil
}
