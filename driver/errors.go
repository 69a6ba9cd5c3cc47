package driver

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by every method of a closed log.
	ErrClosed = errors.New("the log is closed")
	// ErrReadOnly is wrapped by an append to a log that is open for reading
	// only; the error says why.
	ErrReadOnly = errors.New("the log is read-only")
	// ErrOutcomeUnknown is wrapped by an append that was handed over and whose
	// answer was not seen.
	ErrOutcomeUnknown = errors.New("the outcome of the append is unknown")
	// ErrUnavailable is wrapped when the store cannot be reached or has no room for now.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrNotFound is wrapped when what was named does not exist.
	ErrNotFound = errors.New("not found")
	// ErrRevision is wrapped by a compare-and-swap that found another revision.
	ErrRevision = errors.New("the revision has changed")
)

// ConflictError says which condition of an append failed. Nothing was appended.
type ConflictError struct {
	Condition Condition
	Index     int      // of Condition in the batch's conditions
	Head      Position // a position that can already be read, at which the condition is known to fail
	Version   uint64   // for the stream kinds: the version the stream is at
	Position  Position // for NoneAfterKind: the position of a record that matches
}

func (e *ConflictError) Error() string {
	found := fmt.Sprintf("it is at version %d", e.Version)
	if e.Condition.Kind == NoneAfterKind {
		found = fmt.Sprintf("the event at position %d does", e.Position)
	}
	return fmt.Sprintf("conflict: %s was required but %s (head %d)", e.Condition, found, e.Head)
}

// IDError says that an append's IDs are partly or otherwise known to the log.
type IDError struct {
	ID       ID
	Position Position // of the record that has the ID
	Reason   string   // "holds other content", "only part of the batch is known", …
}

func (e *IDError) Error() string {
	return fmt.Sprintf("event ID %s is already at position %d: %s", e.ID, e.Position, e.Reason)
}

// InvalidError says which field of which event of a batch cannot be appended.
type InvalidError struct {
	Index  int    // of the event in its batch, -1 where it is the batch itself
	Field  string // "stream", "type", "tags[2]", "data", …
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("invalid %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("event %d of the batch: invalid %s: %s", e.Index+1, e.Field, e.Reason)
}

// LimitError says which limit an append exceeds.
type LimitError struct {
	Index int    // of the event in its batch, -1 where it is the batch itself
	What  string // "event bytes", "batch bytes", "batch events", "bytes in stream", …
	Limit int
	Got   int
}

func (e *LimitError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("%d %s, over the limit of %d", e.Got, e.What, e.Limit)
	}
	return fmt.Sprintf("event %d of the batch: %d %s, over the limit of %d", e.Index+1, e.Got, e.What, e.Limit)
}

// PositionError says that a position or version does not exist.
type PositionError struct {
	What string // "position 12", "version 3 of stream \"item-7\"", …
	Head Position
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("%s does not exist (the log's head is position %d)", e.What, e.Head)
}

// Is makes errors.Is(err, ErrNotFound) true.
func (e *PositionError) Is(target error) bool { return target == ErrNotFound }

// CorruptError says where stored bytes are not what was written.
type CorruptError struct {
	Position Position // the record damaged or missing; the first one possible where that is not known
	Place    string   // the file and offset, or the row
	Reason   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt at position %d (%s): %s", e.Position, e.Place, e.Reason)
}

// LockedError says that another process has the store open for writing.
type LockedError struct {
	Store string
	PID   int // 0 if not known
}

func (e *LockedError) Error() string {
	owner := "another process"
	if e.PID != 0 {
		owner = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s is open for writing by %s", e.Store, owner)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *LockedError) Is(target error) bool { return target == ErrUnavailable }
