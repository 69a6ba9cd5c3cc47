package annals

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// Model says how a state of type S is folded from events: which events it
// listens to and what each does. Make one with [NewModel], best in a package
// variable. It may be used with any number of logs, by any number of
// goroutines.
type Model[S any] struct {
	category string
	handlers map[reflect.Type]Handler[S]
	init     []func(*S)
	entity   bool // *S embeds Entity
	clone    func(*S) *S
	opts     modelOptions

	once   sync.Once // resolves what follows, at the first use
	err    error
	routes map[string]*route[S]
	names  []string // every name in the log of an event the model handles
}

type modelOptions struct {
	strict        bool
	snapshotEvery int
	version       string
}

// route is what happens to a stored event.
type route[S any] struct {
	stored *stored
	direct *Handler[S] // nil for an old event
	et     *eventType  // of the event itself, nil for an old one
}

// Handler is what [On], [OnEnvelope], [Init] and the other parts of a model
// return.
type Handler[S any] struct {
	typ   reflect.Type
	flat  bool // events of the type share nothing when they are assigned
	new   func() any
	apply func(s *S, ptr any, env *Envelope)
	init  func(*S)
}

// On handles events of type E: fn does to the state what the event says. It
// must do the same each time, so it reads no clock and calls nothing outside;
// it cannot fail, since what happened has happened.
func On[S, E any](fn func(*S, E)) Handler[S] {
	return Handler[S]{
		typ: typeOf[E](), new: func() any { return new(E) },
		apply: func(s *S, ptr any, _ *Envelope) { fn(s, *ptr.(*E)) },
	}
}

// OnEnvelope is [On] for a handler that also looks at the event's envelope.
func OnEnvelope[S, E any](fn func(*S, E, Envelope)) Handler[S] {
	return Handler[S]{
		typ: typeOf[E](), new: func() any { return new(E) },
		apply: func(s *S, ptr any, env *Envelope) { fn(s, *ptr.(*E), *env) },
	}
}

// Init prepares a zero state, before the first event: it makes maps and the like.
func Init[S any](fn func(*S)) Handler[S] { return Handler[S]{init: fn} }

// NewModel returns a model of the states of type S. The streams of its
// entities are named category, dash, ID. It panics, at the start of the
// program, on a category that is empty or has a dash, on a second handler for
// a type, and on an event type that could not come back from the log equal,
// naming the field.
func NewModel[S any](category string, parts ...Handler[S]) *Model[S] {
	if category == "" || strings.ContainsAny(category, "-\x00") {
		panic(fmt.Sprintf("annals: model category %q: it must not be empty nor have a dash", category))
	}
	m := &Model[S]{category: category, handlers: map[reflect.Type]Handler[S]{}, clone: cloner[S]()}
	_, m.entity = any(new(S)).(holder)
	for _, p := range parts {
		switch {
		case p.init != nil:
			m.init = append(m.init, p.init)
		case p.typ != nil:
			if _, twice := m.handlers[p.typ]; twice {
				panic(fmt.Sprintf("annals: model %q handles %s twice", category, p.typ))
			}
			p.flat, _ = cloneable(p.typ, map[reflect.Type]bool{})
			m.handlers[p.typ] = p
			types.meet(p.typ)
		}
	}
	return m
}

// Strict makes an event in a stream that the model does not handle an error
// that names it, and returns m. Without it such events are passed over. Like
// Snapshots it is for the declaration: NewModel(…).Strict().
func (m *Model[S]) Strict() *Model[S] {
	m.opts.strict = true
	return m
}

// Snapshots keeps a snapshot of an entity's state whenever an update has
// brought it across a multiple of every events, in the store's state (a store
// without one keeps none), and returns m. Snapshots never change an answer.
// They are used only while version is the same; change it whenever S or a
// handler changes. An empty version means that of the build. S is kept as
// JSON: Snapshots panics on a type with fields that are not exported and
// without MarshalJSON and UnmarshalJSON.
func (m *Model[S]) Snapshots(every int, version string) *Model[S] {
	if err := snapshotable(reflect.TypeFor[S]()); err != nil {
		panic(fmt.Sprintf("annals: model %q cannot have snapshots: %v", m.category, err))
	}
	m.opts.snapshotEvery, m.opts.version = every, version
	return m
}

// Category returns the category of the model's streams.
func (m *Model[S]) Category() string { return m.category }

// Stream returns the name of the stream of the entity with the given ID.
func (m *Model[S]) Stream(id string) string { return m.category + "-" + id }

// Handles returns the types of the events that the model handles.
func (m *Model[S]) Handles() []reflect.Type {
	return slices.SortedFunc(maps.Keys(m.handlers), func(a, b reflect.Type) int { return compare(a.String(), b.String()) })
}

// resolve finds the names of the model's events, once.
func (m *Model[S]) resolve() error {
	m.once.Do(func() {
		m.routes = map[string]*route[S]{}
		for t, h := range m.handlers {
			et, err := types.of(t)
			if err != nil {
				m.err = fmt.Errorf("model %q: %w", m.category, err)
				return
			}
			for _, s := range types.sources(t) {
				r := &route[S]{stored: s}
				if s.upcast == nil {
					r.direct, r.et = &h, et
				}
				m.routes[s.name] = r
				m.names = append(m.names, s.name)
			}
		}
		slices.Sort(m.names)
		m.names = slices.Compact(m.names)
	})
	return m.err
}

// query returns the boundary of a fold: the model's events with all the tags.
func (m *Model[S]) query(tags []string) Query {
	return Query{Items: []QueryItem{{Types: m.names, Tags: tags}}}
}

// Start returns a state before the first event, as Init makes it. With Apply it
// folds records that were read by other means; Load and Fold do it all.
func (m *Model[S]) Start() *S { return m.zero() }

// Apply folds a record of db's log into s. An event that the model does not
// handle is passed over, or an error if the model is strict.
func (m *Model[S]) Apply(db *DB, s *S, r Record) error {
	if err := m.resolve(); err != nil {
		return err
	}
	return m.apply(db, s, &r)
}

// Clone returns a copy of s that shares nothing with it, nil if S holds what
// cannot be copied.
func (m *Model[S]) Clone(s *S) *S {
	if m.clone == nil {
		return nil
	}
	return m.clone(s)
}

func (m *Model[S]) zero() *S {
	s := new(S)
	for _, f := range m.init {
		f(s)
	}
	return s
}

// folder folds records of one model, one after another.
type folder[S any] struct {
	m     *Model[S]
	db    *DB
	typ   string // of the last record
	route *route[S]
}

// apply folds one record into s.
func (m *Model[S]) apply(db *DB, s *S, r *driver.Record) error {
	return (&folder[S]{m: m, db: db}).apply(s, r)
}

// apply folds one record into s.
func (f *folder[S]) apply(s *S, r *driver.Record) error {
	m, db := f.m, f.db
	if f.typ != r.Type || f.typ == "" {
		f.typ, f.route = r.Type, m.routes[r.Type]
	}
	route := f.route
	if route == nil {
		if m.opts.strict {
			return fmt.Errorf("position %d: model %q does not handle events of type %q", r.Position, m.category, r.Type)
		}
		return nil
	}
	var ptr any
	if route.direct != nil {
		ptr = route.direct.new()
	} else {
		ptr = route.stored.new()
	}
	if err := db.decode(&r.Event, route.et, ptr); err != nil {
		return fmt.Errorf("position %d: event %q: %w", r.Position, r.Type, err)
	}
	env := envelopeOf(&r.Event, r.Version)
	if route.direct != nil {
		route.direct.apply(s, ptr, &env)
		return nil
	}
	events, err := types.upcasted(route.stored, ptr)
	if err != nil {
		return fmt.Errorf("position %d: event %q: %w", r.Position, r.Type, err)
	}
	for _, e := range events {
		if h, ok := m.handlers[reflect.TypeOf(e)]; ok {
			p := reflect.New(h.typ)
			p.Elem().Set(reflect.ValueOf(e))
			h.apply(s, p.Interface(), &env)
		}
	}
	return nil
}
