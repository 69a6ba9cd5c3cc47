package annals

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
)

// Reader is what a model loads from: a [*Tx], where what is read becomes a
// condition of the commit, or a [*View].
type Reader interface {
	// Read yields the records that match q, as of the reader's position.
	Read(q Query) iter.Seq2[Record, error]
	reader()
}

// Load returns the entity with the given ID. One that does not exist is an
// error that wraps [ErrNotFound]; in a transaction its absence is then a
// condition. Within a transaction one ID gives one object, however often it is
// loaded. An entity loaded from a view is for reading: it refuses to record.
func (m *Model[S]) Load(r Reader, id string) (*S, error) {
	stream, err := m.entityStream(id)
	if err != nil {
		return nil, err
	}
	var s *S
	switch r := r.(type) {
	case *Tx:
		s, err = m.loadTx(r, id, stream)
	case *View:
		s, err = m.loadView(r, id, stream)
	}
	if err != nil {
		return nil, fmt.Errorf("load %q: %w", stream, err)
	}
	return s, nil
}

// Create returns a new entity with the given ID, which must not exist: else an
// error that wraps [ErrExists]. Its absence is a condition of the commit. It
// comes to be with the first event that is recorded.
func (m *Model[S]) Create(tx *Tx, id string) (*S, error) {
	stream, err := m.entityStream(id)
	if err != nil {
		return nil, err
	}
	if tx.entity(stream) != nil {
		return nil, fmt.Errorf("create %q: %w", stream, ErrExists)
	}
	if err := tx.enter(source{stream: stream}); err != nil {
		return nil, fmt.Errorf("create %q: %w", stream, err)
	}
	if tx.pin > 0 {
		q := Query{Items: []QueryItem{{Streams: []string{stream}}}}
		for r, err := range tx.db.log.Read(tx.ctx, q, ReadOptions{UpTo: tx.pin, Limit: 1}) {
			if err != nil {
				return nil, fmt.Errorf("create %q: %w", stream, err)
			}
			tx.require(driver.StreamPresent(stream))
			return nil, fmt.Errorf("create %q: %w since position %d", stream, ErrExists, r.Position)
		}
	}
	tx.require(driver.StreamAbsent(stream))
	return m.track(tx, id, stream, state[S]{s: m.zero()}), nil
}

// Fold returns the state folded from all events that the model handles and
// that have all the given tags, whatever stream they belong to; without tags,
// from all that it handles. In a transaction those events are a condition of
// the commit: none may be appended by others. What the transaction has
// recorded before is folded in as well.
func (m *Model[S]) Fold(r Reader, tags ...string) (*S, error) {
	if err := m.resolve(); err != nil {
		return nil, err
	}
	if len(m.names) == 0 {
		return nil, fmt.Errorf("fold: model %q handles no events", m.category)
	}
	q := m.query(tags)
	s, err := m.fold(r, q)
	if err != nil {
		return nil, fmt.Errorf("fold %q over %s: %w", m.category, q, err)
	}
	return s, nil
}

func (m *Model[S]) fold(r Reader, q Query) (*S, error) {
	src := source{q: q}
	switch r := r.(type) {
	case *View:
		pin, err := r.position()
		if err != nil {
			return nil, err
		}
		if !r.occurred.IsZero() {
			st, err := m.occurredState(r, q)
			return st.s, err
		}
		st, err := m.stateAt(r.ctx, r.db, src, pin, nil)
		return st.s, err
	case *Tx:
		if err := r.enter(src); err != nil {
			return nil, err
		}
		st, err := m.stateAt(r.ctx, r.db, src, r.pin, r.extend)
		if err != nil {
			return nil, err
		}
		r.require(driver.NoneAfter(q, r.pin))
		for _, p := range r.pending {
			if q.Matches(&p.event) {
				m.applyPending(st.s, p)
			}
		}
		return st.s, nil
	}
	return nil, fmt.Errorf("a %T cannot be folded from", r)
}

func (m *Model[S]) entityStream(id string) (string, error) {
	stream := m.Stream(id)
	if !m.entity {
		return "", fmt.Errorf("load %q: %s does not embed annals.Entity, so it can only be folded", stream, reflect.TypeFor[S]())
	}
	if id == "" {
		return "", fmt.Errorf("load from %q: the ID is empty", m.category)
	}
	return stream, m.resolve()
}

func (m *Model[S]) loadTx(tx *Tx, id, stream string) (*S, error) {
	if l := tx.entity(stream); l != nil && !tx.done {
		t, ok := l.(*tracked[S])
		if !ok || t.model != m {
			return nil, errors.New("another model has loaded it in this transaction")
		}
		return t.s, nil
	}
	if err := tx.enter(source{stream: stream}); err != nil {
		return nil, err
	}
	st, err := m.stateAt(tx.ctx, tx.db, streamSource(stream), tx.pin, tx.extend)
	if err != nil {
		return nil, err
	}
	if st.version == 0 {
		tx.require(driver.StreamAbsent(stream))
		return nil, ErrNotFound
	}
	tx.require(driver.StreamAt(stream, st.version))
	return m.track(tx, id, stream, st), nil
}

func (m *Model[S]) loadView(v *View, id, stream string) (*S, error) {
	pin, err := v.position()
	if err != nil {
		return nil, err
	}
	var st state[S]
	if v.occurred.IsZero() {
		st, err = m.stateAt(v.ctx, v.db, streamSource(stream), pin, nil)
	} else {
		st, err = m.occurredState(v, streamSource(stream).q)
	}
	if err == nil && st.version == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	m.bind(st.s, id, stream, st.version, "it was loaded from a view, which is for reading; load it in a transaction")
	return st.s, nil
}

func (m *Model[S]) occurredState(v *View, q Query) (state[S], error) {
	st := state[S]{s: m.zero()}
	for r, err := range v.ordered(q) {
		if err == nil {
			err = m.apply(v.db, st.s, &r)
		}
		if err != nil {
			return st, err
		}
		st.version = max(st.version, r.Version)
	}
	return st, nil
}

// bind gives s its identity; it refuses to record for the reason closed.
func (m *Model[S]) bind(s *S, id, stream string, version uint64, closed string) {
	any(s).(holder).annalsEntity().core = &entityCore{id: id, stream: stream, version: version, closed: closed}
}

// tracked is an entity of a transaction.
type tracked[S any] struct {
	entityCore
	db    *DB
	ctx   context.Context
	model *Model[S]
	s     *S
}

// track makes st an entity of tx.
func (m *Model[S]) track(tx *Tx, id, stream string, st state[S]) *S {
	t := &tracked[S]{db: tx.db, ctx: tx.ctx, model: m, s: st.s, entityCore: entityCore{id: id, stream: stream, version: st.version, base: st.version, tx: tx}}
	t.loaded = t
	any(st.s).(holder).annalsEntity().core = &t.entityCore
	tx.entities = append(tx.entities, t)
	return st.s
}

func (t *tracked[S]) apply(p *pending) bool { return t.model.applyPending(t.s, p) }

func (t *tracked[S]) appended(last Position) { t.model.advance(t, last) }

func (m *Model[S]) applyPending(s *S, p *pending) bool {
	h, ok := m.handlers[p.et.typ]
	if ok {
		env := envelopeOf(&p.event, p.version)
		h.apply(s, p.ptr, &env)
	}
	return ok
}

// source is where a state is folded from: a stream, or whatever a query matches.
type source struct {
	stream string // "" for a query that is not of one stream
	q      Query
}

func streamSource(stream string) source {
	return source{stream, Query{Items: []QueryItem{{Streams: []string{stream}}}}}
}

// key names the source within a model.
func (src *source) key() string {
	if src.stream != "" {
		return src.stream
	}
	return "\x00" + strings.Join(src.q.Items[0].Tags, "\x00") // the types are the model's
}

// state is a folded state, the version of its stream (or the number of events
// folded), and the position up to which the log has been looked at for it.
type state[S any] struct {
	s       *S
	version uint64
	scanned Position
}

// stateAt returns the state of src at pin, which the caller owns. extend, if
// not nil, may move the caller's view forward.
func (m *Model[S]) stateAt(ctx context.Context, db *DB, src source, pin Position, extend func(Position) error) (state[S], error) {
	if st, ok, err := m.cached(ctx, db, src, pin, extend); ok || err != nil {
		return st, err
	}
	st := m.snapshot(ctx, db, src.stream, pin)
	err := m.catchUp(ctx, db, src, &st, pin)
	return st, err
}

// catchUp folds what lies between st and pin.
func (m *Model[S]) catchUp(ctx context.Context, db *DB, src source, st *state[S], pin Position) error {
	if pin <= st.scanned {
		return nil
	}
	f := folder[S]{m: m, db: db}
	for r, err := range db.log.Read(ctx, src.q, ReadOptions{After: st.scanned, UpTo: pin}) {
		if err != nil {
			return err
		}
		if src.stream != "" && r.Version != st.version+1 {
			return &driver.CorruptError{Position: r.Position, Place: src.stream, Reason: fmt.Sprintf("version %d follows version %d", r.Version, st.version)}
		}
		if err := f.apply(st.s, &r); err != nil {
			return err
		}
		st.version++
	}
	st.scanned = pin
	return nil
}

// Update loads the entity with the given ID, runs fn on it and appends what it
// recorded: [DB.Update] for one entity that exists.
func (m *Model[S]) Update(ctx context.Context, db *DB, id string, fn func(*S) error, opts ...UpdateOption) (Receipt, error) {
	return db.Update(ctx, func(tx *Tx) error {
		s, err := m.Load(tx, id)
		if err != nil {
			return err
		}
		return fn(s)
	}, opts...)
}

// Add creates the entity with the given ID, runs fn on it and appends what it
// recorded: [DB.Update] for one entity that does not exist yet.
func (m *Model[S]) Add(ctx context.Context, db *DB, id string, fn func(*S) error, opts ...UpdateOption) (Receipt, error) {
	return db.Update(ctx, func(tx *Tx) error {
		s, err := m.Create(tx, id)
		if err != nil {
			return err
		}
		return fn(s)
	}, opts...)
}

// Step is a version of an entity in its history.
type Step[S any] struct {
	State  *S     // at this version; the next step changes it
	Events []any  // what happened: the event, or what upcasters made of an old one; nil where no Go type is known
	Record Record // the event as the log holds it
}

// History yields every version of the entity with the given ID, from the
// first, as of the view, each with the event that led to it.
func (m *Model[S]) History(v *View, id string) iter.Seq2[Step[S], error] {
	return func(yield func(Step[S], error) bool) {
		stream, err := m.entityStream(id)
		if err != nil {
			yield(Step[S]{}, err)
			return
		}
		fail := func(err error) { yield(Step[S]{}, fmt.Errorf("history of %q: %w", stream, err)) }
		s, none := m.zero(), true
		for r, err := range v.ordered(Query{Items: []QueryItem{{Streams: []string{stream}}}}) {
			if err == nil {
				err = m.apply(v.db, s, &r)
			}
			if err != nil {
				fail(err)
				return
			}
			none = false
			m.bind(s, id, stream, r.Version, "it is a past version")
			events, err := v.db.Decode(r)
			if err != nil && !errors.Is(err, ErrNotFound) {
				fail(err)
				return
			}
			if !yield(Step[S]{State: s, Events: events, Record: r}, nil) {
				return
			}
		}
		if none {
			fail(ErrNotFound)
		}
	}
}

// LoadVersion returns the entity with the given ID as it was at a version,
// from 1. A version that does not exist is an error that wraps [ErrNotFound].
func (m *Model[S]) LoadVersion(v *View, id string, version uint64) (*S, error) {
	for step, err := range m.History(v, id) {
		if err != nil {
			return nil, err
		}
		if step.Record.Version == version {
			return step.State, nil
		}
	}
	return nil, &driver.PositionError{What: fmt.Sprintf("version %d of %q", version, m.Stream(id)), Head: v.pos}
}

// ordered yields the records of q in the order the view asks for.
func (v *View) ordered(q Query) iter.Seq2[Record, error] {
	if v.occurred.IsZero() {
		return v.Read(q)
	}
	return func(yield func(Record, error) bool) {
		var records []Record
		for r, err := range v.Read(q) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			records = append(records, r)
		}
		slices.SortStableFunc(records, func(a, b Record) int { return a.Occurred.Compare(b.Occurred) })
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}
