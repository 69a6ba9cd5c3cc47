package projection

import (
	"errors"
	"fmt"

	"github.com/annals-db/annals"
)

// ErrRetired is wrapped by Run when another version has taken the place of
// this one, or the version was dropped.
var ErrRetired = errors.New("another version has taken its place")

// CheckpointError says why a projection refuses to go on from its checkpoint:
// the log is not the one, or not the history, that the read model was made of.
type CheckpointError struct {
	Projection, Version string
	Position            annals.Position // of the checkpoint
	Reason              string
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("projection %s %s at position %d: %s; the read model is ahead of this log or beside it: take the right log, or reset the projection", e.Projection, e.Version, e.Position, e.Reason)
}

// EventError says which event stopped a projection.
type EventError struct {
	Projection, Version string
	Position            annals.Position
	Stream, Type        string
	Attempts            int
	Err                 error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("projection %s %s: event %q of %q at position %d, after %d attempts: %v", e.Projection, e.Version, e.Type, e.Stream, e.Position, e.Attempts, e.Err)
}

// Unwrap returns the handler's error.
func (e *EventError) Unwrap() error { return e.Err }
