package annalstest

import (
	"context"
	"fmt"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Events are events with the stream they belong to. Make them with [In].
type Events struct {
	stream  string
	events  []any
	options []annals.RecordOption
}

// In returns events that belong to a stream, such as "item-laptop".
func In(stream string, events ...any) Events { return Events{stream: stream, events: events} }

// With adds options to the events, such as annals.At. Where the events are
// expected, a time of occurrence and an ID are compared only if given so.
func (e Events) With(options ...annals.RecordOption) Events {
	e.options = append(slices.Clone(e.options), options...)
	return e
}

// Stored is an event in the form that the log holds: its type's name there and
// its payload as JSON. It is for events of types that are no longer appended.
type Stored struct {
	Type, Data string
	Tags       []string
}

// one is a single event with what surrounds it.
type one struct {
	stream  string
	event   any
	options []annals.RecordOption
}

// flat returns the single events of what Given and Then take.
func flat(events []any) []one {
	var out []one
	for _, e := range events {
		in, ok := e.(Events)
		if !ok {
			in = Events{events: []any{e}}
		}
		for _, e := range in.events {
			out = append(out, one{in.stream, e, in.options})
		}
	}
	return out
}

// asked returns the fields that the options of o set.
func (o one) asked() driver.Event {
	var e driver.Event
	for _, option := range o.options {
		option(&e)
	}
	return e
}

// append appends o to the log of db and returns its position.
func (o one) append(ctx context.Context, db *annals.DB) (annals.Position, error) {
	options := append(slices.Clone(o.options), func(e *driver.Event) { e.Stream = o.stream })
	stored, ok := o.event.(Stored)
	if !ok {
		receipt, err := db.Update(ctx, func(tx *annals.Tx) error { return tx.Append(o.event, options...) })
		return receipt.First, err
	}
	e := driver.Event{Type: stored.Type, Data: []byte(stored.Data), Tags: slices.Clone(stored.Tags)}
	for _, option := range options {
		option(&e)
	}
	if e.ID == (annals.ID{}) {
		e.ID = annals.NewID()
	}
	receipt, err := db.Log().Append(ctx, driver.Batch{Events: []driver.Event{e}})
	return receipt.First, err
}

// String returns o as Go would write it, nearly.
func (o one) String() string { return describe(o.stream, o.event) }

func describe(stream string, event any) string {
	where := ""
	if stream != "" {
		where = fmt.Sprintf("%q ", stream)
	}
	if s, ok := event.(Stored); ok {
		return where + s.Type + s.Data
	}
	return where + fmt.Sprintf("%T%+v", event, event)
}

// Update returns the decision that loads an entity, which exists, and runs fn
// on it.
func Update[S any](m *annals.Model[S], id string, fn func(*S) error) func(*annals.Tx) error {
	return func(tx *annals.Tx) error {
		s, err := m.Load(tx, id)
		if err != nil {
			return err
		}
		return fn(s)
	}
}

// Add returns the decision that creates an entity, which does not exist, and
// runs fn on it.
func Add[S any](m *annals.Model[S], id string, fn func(*S) error) func(*annals.Tx) error {
	return func(tx *annals.Tx) error {
		s, err := m.Create(tx, id)
		if err != nil {
			return err
		}
		return fn(s)
	}
}
