package declared

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/projection"
)

// documents is a version whose states are documents beside the log.
type documents struct {
	v    *Version
	docs projection.Collection[json.RawMessage]
}

func (d *documents) projection() *projection.Projection[*projection.Docs] {
	d.docs = projection.NewCollection[json.RawMessage](d.v.table)
	return projection.New(d.v.Name, projection.OnRecord(d.v.query, d.handle)).
		Version(d.v.Version).By(d.v.order).Collections(d.v.table)
}

// handle does to the document of the event's key what the fold says.
func (d *documents) handle(ctx context.Context, tx *projection.Docs, r annals.Record) error {
	key, err := d.v.by(&r)
	if err != nil {
		return err
	}
	var state any = map[string]any{}
	text, err := d.docs.Get(tx, key)
	if err == nil {
		state, err = fold.Parse(text)
	} else if errors.Is(err, annals.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("document %q: %w", key, err)
	}
	next, err := d.v.step.Step(ctx, state, &r)
	if err != nil {
		return err
	}
	if next == nil {
		return d.docs.Delete(tx, key)
	}
	if text, err = fold.Marshal(next); err != nil {
		return fmt.Errorf("document %q: %w", key, err)
	}
	return d.docs.Put(tx, key, text)
}
