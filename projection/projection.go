package projection

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Projection says which events a read model listens to and what each does to
// it, in a transaction of type T: *sql.Tx, pgx.Tx, [*Docs] or a pointer to a
// state in memory. Make one with [New], best in a package variable. It may be
// opened on any number of logs and targets.
type Projection[T any] struct {
	name     string
	version  string
	tables   []Table
	key      func(*annals.Record) string
	handlers map[reflect.Type]Part[T]
	raw      []Part[T]
	setup    []func(context.Context, T) error
}

// Table is a table that belongs to a projection.
type Table struct {
	Name    string `json:"name"`
	Columns string `json:"columns"` // what stands between the parentheses of CREATE TABLE
}

// Part is what [On], [OnRecord] and [Setup] return.
type Part[T any] struct {
	typ   reflect.Type
	names func() ([]string, error)
	query *annals.Query
	event func(ctx context.Context, tx T, event any, r *annals.Record) error
	setup func(context.Context, T) error
}

// Envelope is what surrounds an event: the record that it was in the log. Of
// its fields Position is the place in the log, Time the log's time, Occurred
// when it happened in the world.
type Envelope = annals.Record

// On handles events of type E: fn does in tx what the event says. Events under
// former names and through upcasters come as they do in models. What fn does
// in tx takes effect exactly once; what it does elsewhere may be done again.
// An error undoes all of it, and what then happens is [Options].OnError.
func On[T, E any](fn func(ctx context.Context, tx T, e E, env Envelope) error) Part[T] {
	return Part[T]{
		typ: reflect.TypeFor[E](), names: annals.Names[E],
		event: func(ctx context.Context, tx T, event any, r *annals.Record) error {
			return fn(ctx, tx, event.(E), *r)
		},
	}
}

// OnRecord handles the records that match q as they are in the log, without Go
// types; a zero q matches all.
func OnRecord[T any](q annals.Query, fn func(ctx context.Context, tx T, r annals.Record) error) Part[T] {
	return Part[T]{query: &q, event: func(ctx context.Context, tx T, _ any, r *annals.Record) error {
		return fn(ctx, tx, *r)
	}}
}

// Setup runs fn once for each version, in the transaction that registers it,
// when its tables are there: it makes indexes and the like. It calls [At] for
// the names of tables.
func Setup[T any](fn func(ctx context.Context, tx T) error) Part[T] { return Part[T]{setup: fn} }

// names is what projections, versions and tables may be called, so that they
// make keys and table names without quoting.
var names = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// New returns a projection. Its name is that of its checkpoints: lower-case
// letters, digits and underscores. It panics, at the start of the program, on
// another name and on a second handler for a type.
func New[T any](name string, parts ...Part[T]) *Projection[T] {
	if !names.MatchString(name) {
		panic(fmt.Sprintf("projection: name %q: take lower-case letters, digits and underscores, up to 40, a letter first", name))
	}
	p := &Projection[T]{name: name, version: "v1", key: defaultKey, handlers: map[reflect.Type]Part[T]{}}
	for _, part := range parts {
		switch {
		case part.setup != nil:
			p.setup = append(p.setup, part.setup)
		case part.query != nil:
			p.raw = append(p.raw, part)
		case part.typ != nil:
			if _, twice := p.handlers[part.typ]; twice {
				panic(fmt.Sprintf("projection: %q handles %s twice", name, part.typ))
			}
			p.handlers[part.typ] = part
		}
	}
	return p
}

// Version says which version of the projection this is, and returns p; the
// first is "v1". A version that is opened while another is live is built
// beside it, in tables of its own, and takes its place with [Control.Switch].
// Change it whenever what the handlers do changes.
func (p *Projection[T]) Version(version string) *Projection[T] {
	if !names.MatchString(version) {
		panic(fmt.Sprintf("projection: %q: version %q: take lower-case letters, digits and underscores, up to 40, a letter first", p.name, version))
	}
	p.version = version
	return p
}

// Table declares a table of the projection and returns p. columns is what stands between
// the parentheses of CREATE TABLE; a primary key among them lets versions be
// compared. Handlers call it [At](ctx, name); readers find the live version as
// a view called name.
func (p *Projection[T]) Table(name, columns string) *Projection[T] {
	if !names.MatchString(name) {
		panic(fmt.Sprintf("projection: %q: table %q: take lower-case letters, digits and underscores, up to 40, a letter first", p.name, name))
	}
	p.tables = append(p.tables, Table{name, columns})
	return p
}

// Collections declares collections of documents, as Table does tables.
func (p *Projection[T]) Collections(names ...string) *Projection[T] {
	for _, n := range names {
		p.Table(n, "")
	}
	return p
}

// By says by which key events are kept in order, and returns p: events of one
// key are handled one after the other, in the log's order; when one of them
// becomes a dead letter, the later ones of its key wait. Defaults to the
// stream, and the first tag of an event without one.
func (p *Projection[T]) By(key func(r *annals.Record) string) *Projection[T] {
	p.key = key
	return p
}

// Name returns the projection's name.
func (p *Projection[T]) Name() string { return p.name }

func defaultKey(r *annals.Record) string {
	if r.Stream == "" && len(r.Tags) > 0 {
		return r.Tags[0]
	}
	return r.Stream
}

type namespaceKey struct{}

// At returns what the table of that name is called in the version whose
// handler or setup runs under ctx: handlers write to At(ctx, "stock").
func At(ctx context.Context, table string) string {
	return physical(table, namespaceOf(ctx).version)
}

// namespace is the version that runs under a context.
type namespace struct{ name, version string }

func namespaceOf(ctx context.Context) namespace {
	ns, _ := ctx.Value(namespaceKey{}).(namespace)
	return ns
}

func (p *Projection[T]) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, namespaceKey{}, namespace{p.name, p.version})
}

// physical is the name of a version's own table.
func physical(table, version string) string { return table + "_" + version }

// dispatch is a projection ready to handle records of one log.
type dispatch[T any] struct {
	p     *Projection[T]
	db    *annals.DB
	typed map[string]bool // by name in the log
	query annals.Query    // of all that is handled
}

func newDispatch[T any](p *Projection[T], db *annals.DB) (*dispatch[T], error) {
	d := &dispatch[T]{p: p, db: db, typed: map[string]bool{}}
	var all []string
	for _, h := range p.handlers {
		names, err := h.names()
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if !d.typed[n] {
				d.typed[n] = true
				all = append(all, n)
			}
		}
	}
	if len(all) > 0 {
		slices.Sort(all)
		d.query.Items = append(d.query.Items, annals.QueryItem{Types: all})
	}
	for _, r := range p.raw {
		if r.query.All() {
			d.query = annals.Query{}
			return d, nil
		}
		d.query.Items = append(d.query.Items, r.query.Items...)
	}
	if len(d.query.Items) == 0 {
		return nil, fmt.Errorf("it handles no events")
	}
	return d, nil
}

// handle runs the handlers of r. A panic in one is its error.
func (d *dispatch[T]) handle(ctx context.Context, tx T, r *driver.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if len(d.typed) > 0 && d.typed[r.Type] {
		events, err := d.db.Decode(*r)
		if err != nil {
			return err
		}
		for _, e := range events {
			if h, ok := d.p.handlers[reflect.TypeOf(e)]; ok {
				if err := h.event(ctx, tx, e, r); err != nil {
					return err
				}
			}
		}
	}
	for i := range d.p.raw {
		if h := &d.p.raw[i]; h.query.Matches(&r.Event) {
			if err := h.event(ctx, tx, nil, r); err != nil {
				return err
			}
		}
	}
	return nil
}
