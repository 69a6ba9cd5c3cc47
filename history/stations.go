package history

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
)

// stations are states kept along a stream, so that the state at any version is
// near one of them.
type stations struct {
	Log  annals.ID `json:"log"`
	List []station `json:"stations"` // by version, rising
}

// station is the state after one event. It is used only where the log still
// has that event there.
type station struct {
	Version  uint64          `json:"version"`
	Position annals.Position `json:"position"`
	Event    annals.ID       `json:"event"`
	State    json.RawMessage `json:"state,omitempty"`
	live     any             // the state itself, nil if only State is there
}

const (
	stationCount = 512     // of a stream, at the most
	stationBytes = 8 << 20 // of the states that are kept beside a log, together
)

// before returns the last station before version v, a zero one if there is none.
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

// state returns what a run starts from.
func (s *stations) state(f Fold, at station) (any, error) {
	if at.live != nil || at.Version == 0 {
		return at.live, nil
	}
	return f.restore(at.State)
}

// stations returns stations of the versions up to last, which it makes by one
// fold if there are none yet, and counts the events folded.
func (h *History) stations(ctx context.Context, last uint64, folded *uint64) (*stations, error) {
	info, err := h.log.Info(ctx)
	if err != nil {
		return nil, err
	}
	step := last/stationCount + 1
	if s := h.keptStations(ctx, info.LogID); s != nil {
		if end := s.List[len(s.List)-1].Version; last < end+8*step || last-end < last/16 {
			return s, nil
		}
	}
	s := &stations{Log: info.LogID}
	err = h.each(ctx, last, nil, func(r run, rec annals.Record) bool {
		*folded++
		if rec.Version%step == 0 {
			if live := r.state(); live != nil {
				s.List = append(s.List, station{Version: rec.Version, Position: rec.Position, Event: rec.ID, live: live})
			}
		}
		return true
	})
	if err == nil {
		h.keepStations(ctx, s)
	}
	return s, err
}

func (h *History) stationKey() string { return "history/" + h.fold.key() + "/" + h.stream }

func (h *History) stationState() driver.State {
	if st, ok := h.log.(driver.Stater); ok && h.fold.key() != "" {
		return st.State()
	}
	return nil
}

// keptStations returns the stations beside the log, nil if there are none that
// hold. What cannot be read is as good as none.
func (h *History) keptStations(ctx context.Context, log annals.ID) *stations {
	kv := h.stationState()
	if kv == nil {
		return nil
	}
	value, _, err := kv.Load(ctx, h.stationKey())
	var s stations
	if err != nil || json.Unmarshal(value, &s) != nil || s.Log != log || len(s.List) == 0 {
		return nil
	}
	end := s.List[len(s.List)-1]
	for r, err := range h.log.Read(ctx, h.query(), driver.ReadOptions{After: end.Position - 1, Limit: 1}) {
		if err == nil && r.ID == end.Event && r.Version == end.Version {
			return &s
		}
	}
	return nil
}

// keepStations keeps s beside the log, thinned out to a bounded size. It is a
// cache: what fails is let be.
func (h *History) keepStations(ctx context.Context, s *stations) {
	kv := h.stationState()
	if kv == nil || len(s.List) == 0 {
		return
	}
	every, size := 1, 0
	for i := range s.List {
		text, err := fold.Marshal(s.List[i].live)
		if err != nil {
			return
		}
		s.List[i].State = text
		size += len(text)
	}
	for size/every > stationBytes {
		every++
	}
	out := stations{Log: s.Log}
	for i := every - 1; i < len(s.List); i += every {
		out.List = append(out.List, s.List[i])
	}
	if value, err := json.Marshal(out); err == nil && len(out.List) > 0 {
		_, _ = kv.Save(ctx, h.stationKey(), value, driver.AnyRevision)
	}
}
