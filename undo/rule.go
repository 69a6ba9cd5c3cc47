package undo

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/statediff"
)

// Patched is the event of the general way: fields set to earlier values.
type Patched struct {
	Fields []Field
}

// Field is a field of a state and the value it is set to.
type Field struct {
	Path  string          // as jq writes it: .lines[2].price
	Value json.RawMessage `json:",omitempty"` // JSON; none: the field is taken out
}

var _ = annals.Declare[Patched]("annals.patched")

// Handler lets a model listen to [Patched]. S must be a struct whose fields
// encoding/json sees, apart from the annals.Entity in it.
func Handler[S any]() annals.Handler[S] {
	return annals.On(func(s *S, e Patched) {
		for _, f := range e.Fields {
			if path, err := statediff.ParsePath(f.Path); err == nil {
				// A field that the type no longer has cannot be set, nor seen.
				_ = statediff.Patch(reflect.ValueOf(s).Elem(), path, f.Value)
			}
		}
	})
}

// Rule is what [Inverse] and [Conflict] declare.
type Rule[S any] struct {
	typ      reflect.Type // of the event it is about
	later    reflect.Type // for Conflict
	inverse  func(before *S, event any) []any
	conflict func(later, earlier any) bool
}

// Inverse declares how events of type E are reversed: by the events that fn
// makes of the state right before and the event. They are recorded in their
// order. fn must not change the state.
func Inverse[S, E any](fn func(before *S, e E) []any) Rule[S] {
	return Rule[S]{typ: reflect.TypeFor[E](), inverse: func(s *S, event any) []any { return fn(s, event.(E)) }}
}

// Conflict declares when a later event of type L depends on an earlier one of
// type E, so that the earlier cannot be undone while the later stands.
func Conflict[S, L, E any](fn func(later L, earlier E) bool) Rule[S] {
	return Rule[S]{typ: reflect.TypeFor[E](), later: reflect.TypeFor[L](),
		conflict: func(later, earlier any) bool { return fn(later.(L), earlier.(E)) }}
}

// DependsError says that an action cannot be undone or redone since a later
// change depends on it.
type DependsError struct {
	Operation string // "undo" or "redo"
	Stream    string
	Action    annals.Position // the batch that was to be reversed
	Position  annals.Position // the event in the way
	Version   uint64
	Type      string
	Actor     string // who recorded it
	Path      string // the field both changed, "" where the application declares the dependence
}

func (e *DependsError) Error() string {
	what := "depends on it"
	if e.Path != "" {
		what = "has changed " + e.Path + " since"
	}
	by := ""
	if e.Actor != "" {
		by = " by " + e.Actor
	}
	return fmt.Sprintf("%s in %q refused: version %d (%s%s) %s", e.Operation, e.Stream, e.Version, e.Type, by, what)
}
