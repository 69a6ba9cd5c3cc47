package history

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/annals-db/annals"
)

// stations are states remembered along a stream, so that the state at any
// version is near one of them. They are never changed once made.
type stations struct {
	Log  annals.ID `json:"log"`
	List []station `json:"stations"` // by version, rising
}

// station is the state after one event. The zero station is before the first.
type station struct {
	Version  uint64          `json:"version"`
	Position annals.Position `json:"position"`
	Event    annals.ID       `json:"event"`
	State    rawState        `json:"state,omitempty"`
	live     any             // the state itself, nil if only State is there
}

// start returns what a run starts from.
func (at station) start(f Fold) (any, error) {
	if at.live != nil || at.Version == 0 {
		return at.live, nil
	}
	return f.restore(at.State)
}

const (
	stationCount = 256  // of a stream; they are thinned out at twice as many
	stationFloor = 4096 // versions that are folded rather than looked for beside the log
)

// before returns the last station before version v.
func (s *stations) before(v uint64) station {
	i, _ := slices.BinarySearchFunc(s.List, v, func(a station, v uint64) int {
		if a.Version < v {
			return -1
		}
		return 1
	})
	if i == 0 {
		return station{}
	}
	return s.List[i-1]
}

// end returns the last station.
func (s *stations) end() station { return s.before(math.MaxUint64) }

// kept is what a history remembers, shared by all of its pasts.
type kept struct {
	mu     sync.Mutex
	looked bool // beside the log
	s      *stations
}

// remembered returns the stations that there are, in memory or, where asked
// for, beside the log.
func (h *History) remembered(ctx context.Context, beside bool) *stations {
	h.kept.mu.Lock()
	defer h.kept.mu.Unlock()
	if h.kept.s == nil && beside && !h.kept.looked {
		h.kept.s, h.kept.looked = h.loadStations(ctx), true
	}
	if h.kept.s == nil {
		return &stations{}
	}
	return h.kept.s
}

// nearest returns a station at or before version v.
func (h *History) nearest(ctx context.Context, v uint64) station {
	return h.remembered(ctx, v > stationFloor).before(v + 1)
}

// Prepare folds what is not folded yet and remembers states on the way: in
// memory and, for a fold in jq on a log that has a state, beside the log. State,
// Diff, WhatIf and Bisect are then fast at any version. [History.Bisect]
// prepares by itself.
func (h *History) Prepare(ctx context.Context) error {
	last, err := h.last(ctx)
	if err == nil {
		_, err = h.stations(ctx, last, new(uint64))
	}
	return err
}

// stations returns stations of the versions up to last, for which it folds
// what is behind those that there are, and counts the events folded.
func (h *History) stations(ctx context.Context, last uint64, folded *uint64) (*stations, error) {
	old := h.remembered(ctx, true)
	step, from := last/stationCount+1, old.end()
	if last < from.Version+2*step {
		return old, nil
	}
	info, err := h.log.Info(ctx)
	if err != nil {
		return nil, err
	}
	s := &stations{Log: info.LogID, List: slices.Clone(old.List)}
	err = h.eachFrom(ctx, from, last, nil, func(r run, rec annals.Record) bool {
		*folded++
		if rec.Version%step == 0 {
			if live := r.state(); live != nil {
				s.List = append(s.List, station{Version: rec.Version, Position: rec.Position, Event: rec.ID, live: live})
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for len(s.List) > 2*stationCount {
		s.List = everyOther(s.List)
	}
	h.kept.mu.Lock()
	if h.kept.s == nil || h.kept.s.end().Version < s.end().Version {
		h.kept.s = s
	}
	h.kept.mu.Unlock()
	h.saveStations(ctx, s)
	return s, nil
}

// everyOther returns the second, fourth, … of list, and its last one.
func everyOther(list []station) []station {
	out := make([]station, 0, len(list)/2+1)
	for i := len(list) - 1; i >= 0; i -= 2 {
		out = append(out, list[i])
	}
	slices.Reverse(out)
	return out
}
