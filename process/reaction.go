package process

import (
	"errors"
	"reflect"

	"github.com/annals-db/annals"
)

// Reaction is what a handler gets: the event that it reacts to, and the
// transaction in which it does. It lives as long as the handler runs.
type Reaction struct {
	// Tx is the transaction. What is recorded in it is the effect of the
	// event: entities that are loaded and changed, events that are appended.
	Tx *annals.Tx
	// Event is the event's record in the log that it is of.
	Event annals.Record
	// From is the name of the application whose event it is.
	From string

	app *App
}

// Handler is what [On] and [Manage] return.
type Handler struct {
	typ    reflect.Type
	names  func() ([]string, error)
	handle func(r *Reaction, event any) error
}

// On declares a policy: what is done upon each event of type E. fn may run
// several times for one event, of which one takes effect, so it changes nothing
// but through the reaction. An error is treated as [Options] say.
func On[E any](fn func(r *Reaction, e E) error) Handler {
	return Handler{
		typ: reflect.TypeFor[E](), names: annals.Names[E],
		handle: func(r *Reaction, event any) error { return fn(r, event.(E)) },
	}
}

// Manage declares what a process manager does upon each event of type E: id
// says which process the event is part of ("" for none, then nothing is done);
// fn gets the state of that process, an entity of model that comes to be with
// the first event recorded in it.
func Manage[S, E any](model *annals.Model[S], id func(E) string, fn func(r *Reaction, s *S, e E) error) Handler {
	return On(func(r *Reaction, e E) error {
		name := id(e)
		if name == "" {
			return nil
		}
		s, err := model.Load(r.Tx, name)
		if errors.Is(err, annals.ErrNotFound) {
			s, err = model.Create(r.Tx, name)
		}
		if err != nil {
			return err
		}
		return fn(r, s, e)
	})
}

// react has the application's handlers deal with events.
func (a *App) react(r *Reaction, events []any) error {
	for _, e := range events {
		if h, ok := a.handlers[reflect.TypeOf(e)]; ok {
			if err := h.handle(r, e); err != nil {
				return err
			}
		}
	}
	return nil
}
