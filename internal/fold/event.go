package fold

import (
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

// event returns rec as the value that $event stands for, with those of its
// fields that are used.
func (v *values) event(rec *driver.Record, used fields) (map[string]any, error) {
	m := make(map[string]any, min(len(used)+1, 12))
	if used.has("position") {
		m["position"] = int(rec.Position)
	}
	if rec.Stream != "" {
		if used.has("stream") {
			m["stream"] = rec.Stream
		}
		if used.has("version") {
			m["version"] = int(rec.Version)
		}
	}
	if used.has("type") {
		m["type"] = rec.Type
	}
	if used.has("id") {
		m["id"] = rec.ID.String()
	}
	if used.has("time") {
		m["time"] = rec.Time.UTC().Format(time.RFC3339Nano)
	}
	if used.has("occurred") && !rec.Occurred.IsZero() {
		m["occurred"] = rec.Occurred.UTC().Format(time.RFC3339Nano)
	}
	if used.has("batch") {
		m["batch"] = int(rec.Batch)
	}
	if used.has("tags") && len(rec.Tags) > 0 {
		tags := make([]any, len(rec.Tags))
		for i, t := range rec.Tags {
			tags[i] = t
		}
		m["tags"] = tags
	}
	if used.has("metadata") && len(rec.Metadata) > 0 {
		md := make(map[string]any, len(rec.Metadata))
		for _, p := range rec.Metadata {
			md[p.Key] = p.Value
		}
		m["metadata"] = md
	}
	return m, v.rest(m, rec, used)
}

// rest adds what is parsed: data and conditions.
func (v *values) rest(m map[string]any, rec *driver.Record, used fields) (err error) {
	if used.has("data") {
		if rec.Encoding != "" {
			return fmt.Errorf("its data is encoded as %s, not JSON", rec.Encoding)
		}
		if m["data"], err = v.parse(rec.Data); err != nil {
			return fmt.Errorf("its data: %w", err)
		}
	}
	if used.has("conditions") && len(rec.Conditions) > 0 {
		text := []byte{'['}
		for i := range rec.Conditions {
			if i > 0 {
				text = append(text, ',')
			}
			text = wire.AppendCondition(text, &rec.Conditions[i])
		}
		m["conditions"], err = v.parse(append(text, ']'))
	}
	return err
}
