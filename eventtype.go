package annals

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/annals-db/annals/codec"
)

// eventType is a Go type that is appended to the log, under its current name.
type eventType struct {
	typ      reflect.Type
	name     string
	former   []string
	declared bool // by Declare, not only met in a model
	used     bool // its name is fixed
	pipeline *codec.Pipeline
	check    *codec.Checker
	err      error // why it cannot be used: another type has its name
}

// codec returns the codec that t is checked for.
func (t *eventType) codec() codec.Codec {
	if t.pipeline != nil {
		return t.pipeline.Codec()
	}
	return codec.JSON
}

// stored is what a name in the log stands for: the Go type that its payload is
// decoded into and, for an old event, what that becomes.
type stored struct {
	name   string
	typ    reflect.Type
	new    func() any                   // a pointer to a zero value of typ
	upcast func(ptr any) ([]any, error) // nil where it is the event itself
	yields []reflect.Type               // what upcast may return
}

// types is the process-wide registry: an event type means the same to every
// model and every log.
var types = &registry{byType: map[reflect.Type]*eventType{}, byName: map[string]*stored{}, old: map[reflect.Type]*stored{}}

type registry struct {
	mu     sync.RWMutex
	byType map[reflect.Type]*eventType
	byName map[string]*stored
	old    map[reflect.Type]*stored // upcasters by the type they take
	met    []reflect.Type           // seen in models, not yet named
}

// TypeOption is an option of [Declare].
type TypeOption func(*eventType)

// Formerly says under which other names events of the type are in the log,
// with the same payload: the type was renamed.
func Formerly(names ...string) TypeOption {
	return func(t *eventType) { t.former = append(t.former, names...) }
}

// Encoded says how events of the type are encoded from now on. Defaults to
// [Options].Codec. What is in the log in another encoding is still read.
func Encoded(p *codec.Pipeline) TypeOption {
	return func(t *eventType) { t.pipeline = p }
}

// Declare says that events of type E are in the log under name. A type that is
// not declared is there under the name of its Go type, without its package.
// Declare once per process, before the first use, best in a variable:
//
//	var _ = annals.Declare[ItemCreated]("item-created", annals.Formerly("ItemAdded"))
//
// It panics if the declaration contradicts another one or E cannot be encoded
// and come back equal. The value returned is of no use.
func Declare[E any](name string, opts ...TypeOption) struct{} {
	t := &eventType{typ: typeOf[E](), name: name, declared: true}
	for _, o := range opts {
		o(t)
	}
	if name == "" {
		panic(fmt.Sprintf("annals: the name of event type %s is empty", t.typ))
	}
	types.mu.Lock()
	defer types.mu.Unlock()
	if known := types.byType[t.typ]; known != nil && (known.declared || known.used) {
		panic(fmt.Sprintf("annals: event type %s already has the name %q; declare it once, before its first use", t.typ, known.name))
	}
	if err := types.add(t); err != nil {
		panic("annals: " + err.Error())
	}
	return struct{}{}
}

// Upcast says that events in the log under name have the old form Old and are
// taken for what fn makes of them. Old is no longer appended. New may itself
// be an old form that another Upcast takes further. It panics if name or Old
// stands for something else already.
func Upcast[Old, New any](name string, fn func(Old) New) struct{} {
	return addUpcast[Old](name, []reflect.Type{typeOf[New]()}, func(old Old) []any { return []any{fn(old)} })
}

// Split says that an event in the log under name has the old form Old and is
// taken for the several events that fn makes of it, in their order; none is
// allowed. yields names each type that fn may return by a value of it.
func Split[Old any](name string, fn func(Old) []any, yields ...any) struct{} {
	ts := make([]reflect.Type, len(yields))
	for i, y := range yields {
		ts[i] = reflect.TypeOf(y)
	}
	return addUpcast(name, ts, fn)
}

func addUpcast[Old any](name string, yields []reflect.Type, fn func(Old) []any) struct{} {
	s := &stored{name: name, typ: typeOf[Old](), yields: yields, new: func() any { return new(Old) }}
	s.upcast = func(ptr any) ([]any, error) {
		events := fn(*ptr.(*Old))
		for _, e := range events {
			if !slices.Contains(yields, reflect.TypeOf(e)) {
				return nil, fmt.Errorf("the upcaster of %q returned a %T, which it does not declare", name, e)
			}
		}
		return events, nil
	}
	types.mu.Lock()
	defer types.mu.Unlock()
	if known := types.byName[name]; known != nil {
		panic(fmt.Sprintf("annals: events named %q are already read as %s", name, known.typ))
	}
	if types.old[s.typ] != nil || types.byType[s.typ] != nil {
		panic(fmt.Sprintf("annals: type %s is already known as an event", s.typ))
	}
	types.byName[name], types.old[s.typ] = s, s
	return struct{}{}
}

func typeOf[E any]() reflect.Type {
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || t.Name() == "" {
		panic(fmt.Sprintf("annals: %s cannot be an event type: take a named type that is no pointer and no interface", t))
	}
	return t
}

// add enters t under its names. The caller holds the lock.
func (r *registry) add(t *eventType) error {
	c, err := codec.NewChecker(t.typ, t.codec())
	if err != nil {
		return fmt.Errorf("event type %s: %w", t.typ, err)
	}
	t.check = c
	for _, name := range append([]string{t.name}, t.former...) {
		if known := r.byName[name]; known != nil && known.typ != t.typ {
			return fmt.Errorf("two Go types, %s and %s, are events named %q: give one another name with Declare", known.typ, t.typ, name)
		}
	}
	s := func(name string) *stored {
		return &stored{name: name, typ: t.typ, new: func() any { return reflect.New(t.typ).Interface() }}
	}
	for _, name := range append([]string{t.name}, t.former...) {
		r.byName[name] = s(name)
	}
	r.byType[t.typ] = t
	return nil
}

// meet notes a type seen in a model; it gets a name at the first use, so that
// a Declare later in the same package still counts.
func (r *registry) meet(t reflect.Type) {
	if _, err := codec.NewChecker(t, codec.JSON); err != nil {
		panic(fmt.Sprintf("annals: event type %s: %v", t, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.met = append(r.met, t)
}

// nameMet names the types that were only met. The caller holds the lock.
func (r *registry) nameMet() {
	for _, t := range r.met {
		if r.byType[t] != nil || r.old[t] != nil {
			continue
		}
		et := &eventType{typ: t, name: t.Name()}
		if err := r.add(et); err != nil {
			et.err = err
			r.byType[t] = et
		}
	}
	r.met = nil
}

// of returns the event type of a Go type, which it names if nobody has.
func (r *registry) of(t reflect.Type) (*eventType, error) {
	r.mu.RLock()
	et := r.byType[t]
	ready := et != nil && et.used && len(r.met) == 0
	r.mu.RUnlock()
	if !ready {
		if t.Name() == "" || t.Kind() == reflect.Interface {
			return nil, fmt.Errorf("%s cannot be an event type: take a named type", t)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.met = append(r.met, t)
		r.nameMet()
		if et = r.byType[t]; et == nil {
			return nil, fmt.Errorf("%s is an old form of an event: it is read, never appended", t)
		}
		et.used = true
	}
	return et, et.err
}

// named returns what a name in the log stands for, nil if nothing is known.
func (r *registry) named(name string) *stored {
	r.mu.RLock()
	s, met := r.byName[name], len(r.met)
	r.mu.RUnlock()
	if s == nil && met > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.nameMet()
		s = r.byName[name]
	}
	return s
}

// sources returns every stored name whose events may become a t.
func (r *registry) sources(t reflect.Type) []*stored {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*stored
	for _, s := range r.byName {
		if r.reaches(s, t, 0) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *stored) int { return compare(a.name, b.name) })
	return out
}

// Names returns every name under which events of type E may be in the log: its
// own, former ones, and those of old forms that upcasters take to an E. It is
// for what reads by query and decodes with [DB.Decode], as projections do.
func Names[E any]() ([]string, error) {
	t := typeOf[E]()
	if _, err := types.of(t); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range types.sources(t) {
		names = append(names, s.name)
	}
	return names, nil
}

// TypeName returns the name under which events of event's type are appended.
func TypeName(event any) (string, error) {
	t := reflect.TypeOf(event)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "", errors.New("the event is nil")
	}
	et, err := types.of(t)
	if err != nil {
		return "", err
	}
	return et.name, nil
}

const maxUpcasts = 100 // a chain this long goes in a circle

func (r *registry) reaches(s *stored, t reflect.Type, depth int) bool {
	if s.upcast == nil {
		return s.typ == t
	}
	return slices.ContainsFunc(s.yields, func(y reflect.Type) bool {
		if y == t {
			return true
		}
		next := r.old[y]
		return next != nil && depth < maxUpcasts && r.reaches(next, t, depth+1)
	})
}

// upcasted returns the events that ptr, decoded as s says, stands for.
func (r *registry) upcasted(s *stored, ptr any) ([]any, error) {
	events, err := s.upcast(ptr)
	for depth := 0; err == nil; depth++ {
		if depth > maxUpcasts {
			return nil, errors.New("its upcasters go in a circle")
		}
		again := false
		var next []any
		for _, e := range events {
			r.mu.RLock()
			o := r.old[reflect.TypeOf(e)]
			r.mu.RUnlock()
			if o == nil {
				next = append(next, e)
				continue
			}
			p := reflect.New(o.typ)
			p.Elem().Set(reflect.ValueOf(e))
			more, err := o.upcast(p.Interface())
			if err != nil {
				return nil, err
			}
			next, again = append(next, more...), true
		}
		if events = next; !again {
			break
		}
	}
	return events, err
}
