package pgstore

import (
	"encoding/json"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
)

// encoded is what an event becomes beside its own fields.
type encoded struct {
	tags, metadata, conditions *string
	occurred                   *int64
	leaf                       merkle.Parts
}

// encode readies a valid batch for the server.
func encode(b *driver.Batch) ([]encoded, error) {
	out := make([]encoded, len(b.Events))
	for i := range b.Events {
		ev, e := &b.Events[i], &out[i]
		e.tags = literal(ev.Tags)
		if len(ev.Metadata) > 0 {
			text, err := json.Marshal(ev.Metadata.Map())
			if err != nil {
				return nil, err
			}
			e.metadata = new(string(text))
		}
		if !ev.Occurred.IsZero() {
			e.occurred = new(ev.Occurred.UnixNano())
		}
		var conditions []driver.Condition
		if i == 0 {
			var err error
			if e.conditions, err = encodeConditions(b.Conditions); err != nil {
				return nil, err
			}
			conditions = b.Conditions
		}
		e.leaf = merkle.PartsOf(ev, conditions)
	}
	return out, nil
}
