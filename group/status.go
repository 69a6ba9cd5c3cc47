package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// Status says where a group stands.
type Status struct {
	Name       string
	Query      annals.Query
	By         string          // what events are divided by: "stream", "tag course", "function"
	Head       annals.Position // of the log
	Members    []Member
	Partitions []Partition
	Parked     []Parked // in order of position
}

// Member is a worker of a group.
type Member struct {
	Name    string
	Renewed time.Time     // when it last said that it is alive, by its own clock
	TTL     time.Duration // after which, without another word, others take its place
}

// Partition is a part of a group's events.
type Partition struct {
	Number   int
	Worker   string          // who has it, "" if nobody
	Token    uint64          // how often it was taken
	Position annals.Position // everything up to and with it is dealt with
	Lag      uint64          // positions of the log behind it, whether the group wants them or not
	Parked   int
}

// List returns the names of the groups of log, in order.
func List(ctx context.Context, log driver.Log) ([]string, error) {
	state := driver.StateOf(log)
	if state == nil {
		return nil, errState(log)
	}
	var names []string
	for key, err := range state.Keys(ctx, "group/") {
		if err != nil {
			return nil, err
		}
		if name, ok := strings.CutSuffix(strings.TrimPrefix(key, "group/"), "/group"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Inspect returns the status of a group of log, which may be open read-only. A
// group that never ran is an error that wraps [annals.ErrNotFound].
func Inspect(ctx context.Context, log driver.Log, name string) (Status, error) {
	k, err := find(ctx, log, name)
	if err != nil {
		return Status{}, err
	}
	s, err := inspect(ctx, log, name, k)
	if err != nil {
		return Status{}, fmt.Errorf("group %q: %w", name, err)
	}
	return s, nil
}

func inspect(ctx context.Context, log driver.Log, name string, k kept) (Status, error) {
	info, err := log.Info(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: name, Query: k.Query, By: k.By, Head: info.Head}
	state := driver.StateOf(log)
	var members map[string]member
	if _, err := load(ctx, state, membersKey(name), &members); err != nil {
		return Status{}, err
	}
	for _, m := range members {
		s.Members = append(s.Members, Member{Name: m.Name, Renewed: m.Renewed, TTL: time.Duration(m.TTL) * time.Millisecond})
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	for n := range k.Partitions {
		at := checkpoint{Position: k.After}
		e, _, err := lease.Read(ctx, state, partitionKey(name, n))
		if err == nil && e.Value != nil {
			err = json.Unmarshal(e.Value, &at)
		}
		if err != nil && !errors.Is(err, driver.ErrNotFound) {
			return Status{}, err
		}
		var parked shelf
		if _, err := load(ctx, state, parkedKey(name, n), &parked); err != nil {
			return Status{}, err
		}
		lag := uint64(0)
		if info.Head > at.Position {
			lag = uint64(info.Head - at.Position)
		}
		s.Partitions = append(s.Partitions, Partition{n, e.Holder, e.Token, at.Position, lag, len(parked.Parked)})
		s.Parked = append(s.Parked, parked.Parked...)
	}
	slices.SortFunc(s.Parked, func(a, b Parked) int { return byPosition(a, b.Position) })
	return s, nil
}

// find returns what is kept of a group.
func find(ctx context.Context, log driver.Log, name string) (kept, error) {
	var k kept
	state := driver.StateOf(log)
	if state == nil {
		return k, fmt.Errorf("group %q: %w", name, errState(log))
	}
	revision, err := load(ctx, state, groupKey(name), &k)
	if err == nil && revision == 0 {
		err = annals.ErrNotFound
	}
	if err != nil {
		return k, fmt.Errorf("group %q: %w", name, err)
	}
	return k, nil
}
