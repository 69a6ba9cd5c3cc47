package relay

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// Status says how far a relay has come.
type Status struct {
	Name     string          `json:"name"`
	Position driver.Position `json:"position"` // everything up to it is published or set aside
	Head     driver.Position `json:"head"`     // of the log
	Holder   string          `json:"holder,omitempty"`
	Dead     int             `json:"dead"`    // keys with a dead letter
	Waiting  int             `json:"waiting"` // events in them
}

// All yields the status of each relay that has a checkpoint in state, by name.
func All(ctx context.Context, log driver.Log, state driver.State) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		for key, err := range state.Keys(ctx, "relay/") {
			name, is := strings.CutSuffix(strings.TrimPrefix(key, "relay/"), "/checkpoint")
			if err == nil && !is {
				continue
			}
			var s Status
			if err == nil {
				s, err = status(ctx, log, state, name)
			}
			if errors.Is(err, driver.ErrNotFound) {
				continue
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// Status says how far r has come, whoever runs it.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	s, err := status(ctx, r.log, r.state, r.name)
	if errors.Is(err, driver.ErrNotFound) {
		err = nil // it has not run yet
	}
	return s, err
}

func status(ctx context.Context, log driver.Log, state driver.State, name string) (Status, error) {
	s := Status{Name: name}
	info, err := log.Info(ctx)
	if err != nil {
		return s, err
	}
	s.Head = info.Head
	e, _, err := lease.Read(ctx, state, leaseKey(name))
	if err != nil {
		return s, err
	}
	s.Holder = e.Holder
	if e.Value != nil {
		var c checkpoint
		if err := json.Unmarshal(e.Value, &c); err != nil {
			return s, err
		}
		s.Position = c.Position
	}
	letters := (&Relay{name: name, state: state}).Letters()
	for letter, err := range letters.All(ctx) {
		if err != nil {
			return s, err
		}
		s.Dead++
		s.Waiting += len(letter.Positions)
	}
	return s, nil
}
