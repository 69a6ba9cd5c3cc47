package pgstore

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/annals-db/annals/driver"
)

// conditionJSON is a condition as the column "conditions" has it, which is how
// an export has it too.
type conditionJSON struct {
	Stream  string           `json:"stream,omitempty"`
	Version *uint64          `json:"version,omitempty"`
	Absent  bool             `json:"absent,omitempty"`
	Present bool             `json:"present,omitempty"`
	None    *driver.Query    `json:"none,omitempty"`
	After   *driver.Position `json:"after,omitempty"`
}

// encodeConditions returns conditions as JSON, nil if there are none.
func encodeConditions(conditions []driver.Condition) (*string, error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	out := make([]conditionJSON, len(conditions))
	for n, c := range conditions {
		j := conditionJSON{Stream: c.Stream}
		switch c.Kind {
		case driver.StreamAtKind:
			j.Version = &c.Version
		case driver.StreamAbsentKind:
			j.Absent = true
		case driver.StreamPresentKind:
			j.Present = true
		case driver.NoneAfterKind:
			j.None, j.After = &c.Query, &c.After
		}
		out[n] = j
	}
	text, err := json.Marshal(out)
	return new(string(text)), err
}

// decodeConditions is the way back.
func decodeConditions(text []byte) ([]driver.Condition, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var in []conditionJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("conditions: %w", err)
	}
	out := make([]driver.Condition, len(in))
	for n := range in {
		out[n] = in[n].condition()
	}
	return out, nil
}

func (j *conditionJSON) condition() driver.Condition {
	c := driver.Condition{Stream: j.Stream}
	switch {
	case j.None != nil:
		c.Kind, c.Query = driver.NoneAfterKind, *j.None
		if j.After != nil {
			c.After = *j.After
		}
	case j.Version != nil:
		c.Kind, c.Version = driver.StreamAtKind, *j.Version
	case j.Absent:
		c.Kind = driver.StreamAbsentKind
	case j.Present:
		c.Kind = driver.StreamPresentKind
	}
	return c
}

// cloneCondition returns a copy that shares no memory with c.
func cloneCondition(c driver.Condition) driver.Condition {
	c.Query.Items = slices.Clone(c.Query.Items)
	for n := range c.Query.Items {
		i := &c.Query.Items[n]
		i.Types, i.Tags, i.Streams, i.IDs = slices.Clone(i.Types), slices.Clone(i.Tags), slices.Clone(i.Streams), slices.Clone(i.IDs)
	}
	return c
}
