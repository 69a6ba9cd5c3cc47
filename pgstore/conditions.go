package pgstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

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
	// Bytes says that each rune of the texts is a byte of what was given, which
	// was not UTF-8.
	Bytes bool `json:"bytes,omitempty"`
}

// encodeConditions returns conditions as JSON, nil if there are none.
func encodeConditions(conditions []driver.Condition) (*string, error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	out := make([]conditionJSON, len(conditions))
	for n, c := range conditions {
		odd := false
		eachText(&c, func(s string) string { odd = odd || !utf8.ValidString(s); return s })
		if odd {
			c = eachText(&c, func(s string) string {
				var b strings.Builder
				for i := range len(s) {
					b.WriteRune(rune(s[i]))
				}
				return b.String()
			})
		}
		j := conditionJSON{Stream: c.Stream, Bytes: odd}
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
	if j.Bytes {
		c = eachText(&c, func(s string) string {
			b := make([]byte, 0, len(s))
			for _, r := range s {
				b = append(b, byte(r))
			}
			return string(b)
		})
	}
	return c
}

// eachText returns a copy of c with f of each of its texts.
func eachText(c *driver.Condition, f func(string) string) driver.Condition {
	out := *c
	all := func(texts []string) []string {
		if texts == nil {
			return nil
		}
		mapped := make([]string, len(texts))
		for i, s := range texts {
			mapped[i] = f(s)
		}
		return mapped
	}
	out.Stream = f(c.Stream)
	out.Query.Items = nil
	for _, i := range c.Query.Items {
		i.Types, i.Tags, i.Streams, i.Category = all(i.Types), all(i.Tags), all(i.Streams), f(i.Category)
		out.Query.Items = append(out.Query.Items, i)
	}
	return out
}
