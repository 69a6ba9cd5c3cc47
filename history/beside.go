package history

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"math"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
)

// rawState is the JSON of a state.
type rawState = json.RawMessage

// Stations are kept beside the log, in its state, as
//
//	SHA-256 of the rest   32 bytes
//	stations              JSON
//
// They are a cache: what cannot be kept is let be, and what cannot be read, is
// of another log, or of events that the log no longer has is as good as none.

const besideBytes = 4 << 20 // of the states of a stream that are kept, together

func (h *History) besideKey() string { return "history/" + h.fold.key() + "/" + h.stream }

func (h *History) beside() driver.State {
	if st, ok := h.log.(driver.Stater); ok && h.fold.key() != "" {
		return st.State()
	}
	return nil
}

// loadStations returns the stations beside the log that hold, nil if there are none.
func (h *History) loadStations(ctx context.Context) *stations {
	kv := h.beside()
	if kv == nil {
		return nil
	}
	value, _, err := kv.Load(ctx, h.besideKey())
	if err != nil || len(value) < sha256.Size {
		return nil
	}
	sum, text := value[:sha256.Size], value[sha256.Size:]
	if got := sha256.Sum256(text); !bytes.Equal(sum, got[:]) {
		return nil
	}
	var s stations
	info, err := h.log.Info(ctx)
	if err != nil || json.Unmarshal(text, &s) != nil || s.Log != info.LogID || len(s.List) == 0 {
		return nil
	}
	end := s.end() // if the log has this event there, it has those before it
	if end.Position > info.Head {
		return nil
	}
	for r, err := range h.log.Read(ctx, h.query(), driver.ReadOptions{After: end.Position - 1, UpTo: end.Position}) {
		if err == nil && r.ID == end.Event && r.Version == end.Version {
			return &s
		}
	}
	return nil
}

// saveStations keeps s beside the log, thinned out to a bounded size.
func (h *History) saveStations(ctx context.Context, s *stations) {
	kv := h.beside()
	if kv == nil || len(s.List) == 0 {
		return
	}
	out := stations{Log: s.Log, List: s.List}
	end := s.end()
	if err := end.write(); err != nil {
		return
	}
	for len(end.State)*len(out.List) > besideBytes && len(out.List) > 1 {
		out.List = everyOther(out.List)
	}
	list := make([]station, 0, len(out.List))
	for _, at := range out.List {
		if at.live != nil && !exact(at.live) {
			continue
		}
		if at.write() != nil {
			return
		}
		list = append(list, at)
	}
	out.List = list
	text, err := json.Marshal(out)
	if err != nil || len(out.List) == 0 {
		return
	}
	sum := sha256.Sum256(text)
	_, _ = kv.Save(ctx, h.besideKey(), append(sum[:], text...), driver.AnyRevision)
}

// write makes the state's JSON, if it is not there yet.
func (at *station) write() (err error) {
	if at.State == nil {
		at.State, err = fold.Marshal(at.live)
	}
	return err
}

// exact reports whether a state comes back from its JSON as it is. A float64
// that is a whole number would come back as an int, with which jq reckons
// otherwise beyond 2^53.
func exact(v any) bool {
	switch x := v.(type) {
	case float64:
		return x != math.Trunc(x) && !math.IsNaN(x)
	case map[string]any:
		for _, e := range x {
			if !exact(e) {
				return false
			}
		}
	case []any:
		for _, e := range x {
			if !exact(e) {
				return false
			}
		}
	}
	return true
}
