package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Category is that of the streams in which the log keeps what was done to
// projections: "projection-stock". The types of these events begin with
// "annals.projection.".
const Category = "projection"

// action is something that was done to a projection, as the log is told.
type action struct {
	Version  string          `json:"version"`
	Position annals.Position `json:"position,omitempty"` // of the event concerned, or where the projection was
	Key      string          `json:"key,omitempty"`
	Dry      bool            `json:"dry,omitempty"`
	Retried  int             `json:"retried,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// act notes an action in the transaction that does it. tell brings it to the log.
func act(ctx context.Context, b Book, name, what string, a action) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	e := driver.Event{ID: annals.NewID(), Stream: Category + "-" + name, Type: "annals.projection." + what, Data: data, Occurred: now()}
	if actor := annals.Actor(ctx); actor != "" {
		e.Metadata = driver.Metadata{{Key: "actor", Value: actor}}
	}
	return save(ctx, b, actionKey(name, e.ID.String()), e)
}

// tell appends the actions that are not in the log yet. Where this process
// cannot append, the next one that runs the projection does.
func tell(ctx context.Context, log driver.Log, k Keeper, name string) error {
	var waiting []driver.Event
	err := k.Keep(ctx, func(ctx context.Context, b Book) (err error) {
		waiting, err = list[driver.Event](ctx, b, actionKey(name, ""))
		return err
	})
	for _, e := range waiting {
		if _, err := log.Append(ctx, driver.Batch{Events: []driver.Event{e}}); err != nil {
			if errors.Is(err, driver.ErrReadOnly) {
				return nil
			}
			return fmt.Errorf("projection %s: tell the log what was done: %w", name, err)
		}
		err := k.Keep(ctx, func(ctx context.Context, b Book) error {
			return b.Delete(ctx, actionKey(name, e.ID.String()))
		})
		if err != nil {
			return err
		}
	}
	return err
}
