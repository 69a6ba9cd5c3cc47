package annals

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/driver"
)

// Tx is a transaction: a consistent view of the log at one position, the
// conditions that what was read of it has become, and the events recorded. It
// lives while the function given to [DB.Update] runs, and belongs to that
// function's goroutine.
type Tx struct {
	db       *DB
	ctx      context.Context
	info     driver.Info // of the log when it was pinned
	pin      Position    // the position of the view
	pinned   bool
	atLeast  Position // the view must not be older
	now      time.Time
	metadata Metadata
	once     ID
	derived  []string // of Derived, nil without
	tags     []string // of Tagged

	entities   []loaded // few: looked through in order
	conditions []driver.Condition
	pending    []*pending
	gate       *gate // held, nil if none

	err   error // doomed
	stale error // what was read has changed; only another attempt can succeed
	done  bool
}

// entity returns the entity of a stream, nil if it is not loaded.
func (tx *Tx) entity(stream string) loaded {
	for _, l := range tx.entities {
		if l.core().stream == stream {
			return l
		}
	}
	return nil
}

// pending is an event recorded and not yet appended.
type pending struct {
	event   driver.Event
	version uint64
	et      *eventType
	ptr     any // the event as it comes back from the log
}

// errEnded is returned by a transaction that has ended.
var errEnded = errors.New("the transaction has ended")

// begin readies tx for reading: it fixes the position of the view.
func (tx *Tx) begin() error {
	if tx.done {
		return errEnded
	}
	if tx.stale != nil {
		return tx.stale
	}
	if tx.pinned {
		return nil
	}
	info, err := tx.db.log.Info(tx.ctx)
	if err != nil {
		return err
	}
	if info.Head < tx.atLeast { // a store that follows another
		if info.Head, err = tx.db.log.Wait(tx.ctx, tx.atLeast-1); err != nil {
			return err
		}
	}
	tx.info, tx.pin, tx.pinned = info, info.Head, true
	return nil
}

// extend moves the view forward to pin, if nothing that was read has changed
// since; else only another attempt can succeed.
func (tx *Tx) extend(pin Position) error {
	for _, c := range tx.conditions {
		q := c.Query
		if c.Kind != driver.NoneAfterKind {
			q = Query{Items: []QueryItem{{Streams: []string{c.Stream}}}}
		}
		for r, err := range tx.db.log.Read(tx.ctx, q, ReadOptions{After: tx.pin, UpTo: pin, Limit: 1}) {
			if err != nil {
				return err
			}
			tx.stale = &ConflictError{Condition: c, Index: 0, Head: r.Position, Version: r.Version, Position: r.Position}
			return tx.stale
		}
	}
	tx.pin = pin
	return nil
}

// require adds a condition, once.
func (tx *Tx) require(c driver.Condition) {
	for _, known := range tx.conditions {
		if known.Kind == c.Kind && known.Stream == c.Stream && known.Version == c.Version &&
			known.After == c.After && reflect.DeepEqual(known.Query, c.Query) {
			return
		}
	}
	tx.conditions = append(tx.conditions, c)
}

func (tx *Tx) doom(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Append records an event that belongs to no entity. It names its tags by a
// method Tags() []string or by [WithTags]; one without tags is refused. What
// holds for [Entity.Record] holds here.
func (tx *Tx) Append(event any, opts ...RecordOption) error {
	if tx.done {
		return fmt.Errorf("append: %w", errEnded)
	}
	p, err := tx.encode(event, "", 0, opts)
	if err != nil {
		return tx.doom(fmt.Errorf("append: %w", err))
	}
	tx.pending = append(tx.pending, p)
	return nil
}

// Read yields the records of the view that match q. However far it is ranged
// over, the transaction then depends on all of q: it commits only if nothing
// that matches has been appended by others since. What the transaction itself
// has recorded is not among them.
func (tx *Tx) Read(q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := tx.begin(); err != nil {
			yield(Record{}, err)
			return
		}
		tx.require(driver.NoneAfter(q, tx.pin))
		if tx.pin == 0 {
			return
		}
		for r, err := range tx.db.log.Read(tx.ctx, q, ReadOptions{UpTo: tx.pin}) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// Last returns the last record of the view that matches q; found is false if
// there is none. As with Read the transaction then depends on all of q, and
// what it has recorded itself does not count.
func (tx *Tx) Last(q Query) (last Record, found bool, err error) {
	if err := tx.begin(); err != nil {
		return Record{}, false, err
	}
	tx.require(driver.NoneAfter(q, tx.pin))
	if tx.pin == 0 {
		return Record{}, false, nil
	}
	for r, err := range tx.db.log.Read(tx.ctx, q, ReadOptions{UpTo: tx.pin, Backward: true, Limit: 1}) {
		return r, err == nil, err
	}
	return Record{}, false, nil
}

// Context returns the context that was given to Update.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Now returns the transaction's time: its clock, read once when it began, UTC.
func (tx *Tx) Now() time.Time { return tx.now }

func (tx *Tx) reader() {}

// tagger is an event that names its tags.
type tagger interface{ Tags() []string }

// encode turns a Go event into a pending one.
func (tx *Tx) encode(event any, stream string, version uint64, opts []RecordOption) (*pending, error) {
	if err := tx.begin(); err != nil {
		return nil, err
	}
	id := tx.once
	if len(tx.pending) > 0 {
		id = ID{}
	}
	if len(tx.tags) > 0 {
		opts = append(slices.Clone(opts), addTags(tx.tags))
	}
	in := encoding{
		log: tx.info.LogID, limits: tx.info.Limits, stream: stream,
		metadata: tx.metadata, occurred: tx.now, id: id,
	}
	if tx.derived != nil {
		in.otherwise = tx.derivedID(len(tx.pending))
	}
	p, err := tx.db.encode(event, in, opts)
	if err != nil {
		return nil, err
	}
	p.version = version
	return p, nil
}

// encoding is what db.encode needs to know besides the event.
type encoding struct {
	log      ID
	limits   driver.Limits
	stream   string
	metadata Metadata
	occurred time.Time
	id       ID // fixed by Once; zero if not

	otherwise ID // if it is given none; zero for a new one
}

// addTags adds tags that an event does not have yet.
func addTags(tags []string) RecordOption {
	return func(e *driver.Event) {
		for _, t := range tags {
			if !slices.Contains(e.Tags, t) {
				e.Tags = append(e.Tags, t)
			}
		}
	}
}

func (db *DB) encode(event any, in encoding, opts []RecordOption) (*pending, error) {
	v := reflect.ValueOf(event)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return nil, errors.New("the event is nil")
	}
	et, err := types.of(v.Type())
	if err != nil {
		return nil, err
	}
	if err := et.check.Value(v.Interface()); err != nil {
		return nil, fmt.Errorf("event %q: %w", et.name, err)
	}
	e := driver.Event{Stream: in.stream, Type: et.name, Metadata: in.metadata, Occurred: in.occurred}
	if err := applyOptions(&e, v, in.id, in.otherwise, opts); err != nil {
		return nil, fmt.Errorf("event %q: %w", et.name, err)
	}
	pipeline := et.pipeline
	if pipeline == nil {
		pipeline = db.opts.Codec
	}
	env := codec.Envelope{Log: in.log, Stream: e.Stream, Type: e.Type, ID: e.ID}
	e.Encoding = pipeline.Name()
	if e.Data, err = pipeline.Encode(v.Interface(), env); err != nil {
		return nil, fmt.Errorf("event %q: %w", et.name, err)
	}
	if err := driver.Validate(&driver.Batch{Events: []driver.Event{e}}, in.limits); err != nil {
		return nil, fmt.Errorf("event %q: %w", et.name, err)
	}
	p := &pending{event: e, et: et, ptr: reflect.New(et.typ).Interface()}
	if err := pipeline.Decode(e.Data, env, p.ptr); err != nil {
		return nil, fmt.Errorf("event %q does not come back from its encoding: %w", et.name, err)
	}
	return p, nil
}

func applyOptions(e *driver.Event, v reflect.Value, fixed, otherwise ID, opts []RecordOption) error {
	if t, ok := v.Interface().(tagger); ok {
		e.Tags = slices.Clone(t.Tags())
	} else if reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[tagger]()) {
		ptr := reflect.New(v.Type())
		ptr.Elem().Set(v)
		e.Tags = slices.Clone(ptr.Interface().(tagger).Tags())
	}
	for _, o := range opts {
		o(e)
	}
	switch {
	case fixed != ID{} && e.ID != ID{}:
		return errors.New("the first event of an update with Once cannot be given an ID: it follows from the key")
	case fixed != ID{}:
		e.ID = fixed
	case e.ID == ID{} && otherwise != ID{}:
		e.ID = otherwise
	case e.ID == ID{}:
		e.ID = NewID()
	}
	return nil
}
