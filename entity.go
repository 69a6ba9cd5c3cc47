package annals

import (
	"errors"
	"fmt"
	"time"

	"github.com/annals-db/annals/driver"
)

// Entity makes a struct that embeds it an entity: something with an identity
// whose state is the fold of the events of its own stream. Its methods come
// with the embedding.
type Entity struct{ core *entityCore }

type entityCore struct {
	id, stream string
	version    uint64
	base       uint64     // the version when it was loaded
	recorded   []*pending // in tx
	tx         *Tx        // nil when no more can be recorded
	closed     string     // why not
	loaded     loaded
}

// loaded is an entity of a transaction, whatever its model.
type loaded interface {
	core() *entityCore
	// apply folds p into the state; false if the model does not handle it.
	apply(p *pending) bool
	// appended is told that what was recorded is in the log, its last event at last.
	appended(last Position)
	// keepSnapshot keeps a snapshot if one is due.
	keepSnapshot() error
}

func (c *entityCore) core() *entityCore { return c }

type holder interface{ annalsEntity() *Entity }

func (e *Entity) annalsEntity() *Entity { return e }

// ID returns the entity's identity within its model, "" outside a log.
func (e *Entity) ID() string {
	if e.core == nil {
		return ""
	}
	return e.core.id
}

// Version returns the version that the state is at: the number of events in
// the entity's stream, those it has recorded and not yet appended among them.
func (e *Entity) Version() uint64 {
	if e.core == nil {
		return 0
	}
	return e.core.version
}

// Recorded returns what the entity has recorded in its transaction, in order,
// as it will come back from the log.
func (e *Entity) Recorded() []any {
	if e.core == nil {
		return nil
	}
	events := make([]any, len(e.core.recorded))
	for i, p := range e.core.recorded {
		events[i] = deref(p.ptr)
	}
	return events
}

// Now returns the time of the transaction that has loaded the entity, UTC; zero
// outside one. Commands decide by it rather than by a clock, so that tests can
// set it.
func (e *Entity) Now() time.Time {
	if e.core == nil || e.core.tx == nil {
		return time.Time{}
	}
	return e.core.tx.now
}

// Record records an event of the entity: it is applied to the state at once and
// appended when the transaction commits. The model must handle its type.
//
// What is applied is the event as it will come back from the log. A value that
// would not come back equal is refused with the name of its field. A failed
// Record dooms the transaction: it will not commit, whatever its function
// returns. An entity that was not loaded by a transaction, or whose
// transaction has ended, refuses to record.
func (e *Entity) Record(event any, opts ...RecordOption) error {
	c := e.core
	if c == nil {
		return errors.New("record: the entity was not loaded from a log; use Create or Load")
	}
	if c.tx == nil {
		return fmt.Errorf("record in %q: %s", c.stream, c.closed)
	}
	p, err := c.tx.encode(event, c.stream, c.version+1, opts)
	if err == nil && !c.loaded.apply(p) {
		err = fmt.Errorf("the model does not handle events of type %T", event)
	}
	if err != nil {
		return c.tx.doom(fmt.Errorf("record in %q: %w", c.stream, err))
	}
	c.version++
	c.recorded = append(c.recorded, p)
	c.tx.pending = append(c.tx.pending, p)
	return nil
}

// Envelope is what surrounds an event and is fixed before it is appended. Its
// place in the log and the log's time are for readers of the log, not for models.
type Envelope struct {
	Stream   string    // "" if the event belongs to no stream
	Version  uint64    // within the stream, 0 without one
	ID       ID        // the event's
	Metadata Metadata  // of the command that recorded it
	Occurred time.Time // when it happened in the world
}

func envelopeOf(e *driver.Event, version uint64) Envelope {
	return Envelope{Stream: e.Stream, Version: version, ID: e.ID, Metadata: e.Metadata, Occurred: e.Occurred}
}

// RecordOption is an option of [Entity.Record] and [Tx.Append].
type RecordOption func(*driver.Event)

// At says when the event happened in the world. Defaults to the transaction's
// time, its clock read once when it began.
func At(occurred time.Time) RecordOption {
	return func(e *driver.Event) { e.Occurred = occurred.UTC() }
}

// WithID gives the event its ID. With an ID that follows from what the event
// is about ([NameID]) appending it twice has no effect. Defaults to a new
// time-ordered ID.
func WithID(id ID) RecordOption {
	return func(e *driver.Event) { e.ID = id }
}

// WithTags adds tags, "key:value" each, to those that the event names itself
// by a method Tags() []string.
func WithTags(tags ...string) RecordOption {
	return func(e *driver.Event) { e.Tags = append(e.Tags, tags...) }
}
