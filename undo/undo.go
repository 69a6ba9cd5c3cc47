package undo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/statediff"
)

var (
	// ErrNothing is wrapped when the actor has nothing to undo or redo.
	ErrNothing = errors.New("there is nothing")
	// ErrNoActor is returned when the context names no actor ([annals.WithActor]).
	ErrNoActor = errors.New("undo and redo are of somebody's own actions, and the context names no actor")
)

// Undo is the undo and redo of a model's entities. It keeps nothing but a cache
// of what it has read, and may be used by any number of goroutines.
type Undo[S any] struct {
	model     *annals.Model[S]
	inverses  map[reflect.Type]func(*S, any) []any
	conflicts map[pair][]func(later, earlier any) bool
	earlier   map[reflect.Type]bool // types of the earlier events in conflicts
	compares  bool                  // some event may be reversed in the general way

	mu       sync.Mutex
	trackers map[trackerKey]*locked[S]
}

type pair struct{ later, earlier reflect.Type }

type trackerKey struct {
	db     *annals.DB
	stream string
}

// locked is a tracker and the lock of its users.
type locked[S any] struct {
	mu sync.Mutex
	*tracker[S]
}

// maxTrackers bounds the streams whose actions are kept in memory.
const maxTrackers = 256

// New returns the undo of a model with the rules that the application
// declares. Events without an [Inverse] are reversed in the general way, for
// which the model has a [Handler]. It panics on a state that cannot be copied.
func New[S any](m *annals.Model[S], rules ...Rule[S]) *Undo[S] {
	if m.Clone(m.Start()) == nil {
		panic(fmt.Sprintf("undo: a %s holds what cannot be copied, so its versions cannot be compared", reflect.TypeFor[S]()))
	}
	u := &Undo[S]{model: m, inverses: map[reflect.Type]func(*S, any) []any{},
		conflicts: map[pair][]func(any, any) bool{}, earlier: map[reflect.Type]bool{}, trackers: map[trackerKey]*locked[S]{}}
	for _, r := range rules {
		if r.inverse != nil {
			u.inverses[r.typ] = r.inverse
		} else {
			p := pair{r.later, r.typ}
			u.conflicts[p] = append(u.conflicts[p], r.conflict)
			u.earlier[r.typ] = true
		}
	}
	for _, t := range m.Handles() {
		if u.inverses[t] == nil {
			u.compares = true
		}
	}
	return u
}

// tracker returns the tracker of a stream, locked.
func (u *Undo[S]) tracker(db *annals.DB, stream string) *locked[S] {
	u.mu.Lock()
	key := trackerKey{db, stream}
	t := u.trackers[key]
	if t == nil {
		for other := range u.trackers {
			if len(u.trackers) < maxTrackers {
				break
			}
			delete(u.trackers, other)
		}
		t = &locked[S]{tracker: newTracker(u, stream)}
		u.trackers[key] = t
	}
	u.mu.Unlock()
	t.mu.Lock()
	return t
}

// Undo takes back the last action of the context's actor on the entity with
// the given ID that is not undone yet; what others have done since stays.
// [ErrNothing] is wrapped if there is none; a *[DependsError] names the later
// change that stands in the way.
//
// With [annals.Once] a call that is repeated, since its answer was lost, undoes
// one action and not two.
func (u *Undo[S]) Undo(ctx context.Context, db *annals.DB, id string, opts ...annals.UpdateOption) (annals.Receipt, error) {
	return u.own(ctx, db, id, "undo", undoKey, opts, func(t *tracker[S], actor string) *action { return last(t.done[actor]) })
}

// Redo brings back the action that the context's actor has undone last, if the
// actor has done nothing new since. Errors are as those of Undo.
func (u *Undo[S]) Redo(ctx context.Context, db *annals.DB, id string, opts ...annals.UpdateOption) (annals.Receipt, error) {
	return u.own(ctx, db, id, "redo", redoKey, opts, func(t *tracker[S], actor string) *action { return last(t.undone[actor]) })
}

func (u *Undo[S]) own(ctx context.Context, db *annals.DB, id, operation, key string, opts []annals.UpdateOption,
	pick func(*tracker[S], string) *action,
) (annals.Receipt, error) {
	actor := annals.Actor(ctx)
	if actor == "" {
		return annals.Receipt{}, ErrNoActor
	}
	return u.change(ctx, db, id, key, opts, func(t *tracker[S], _ *S) (string, []any, error) {
		a := pick(t, actor)
		if a == nil {
			return "", nil, fmt.Errorf("%w to %s for %s in %q", ErrNothing, operation, actor, t.stream)
		}
		if e := t.inTheWay(a, operation); e != nil {
			return "", nil, e
		}
		if err := a.alone(ctx, db, t.stream); err != nil {
			return "", nil, fmt.Errorf("%s in %q: %w", operation, t.stream, err)
		}
		events, err := a.reversal()
		return a.name(), events, err
	})
}

func (a *action) name() string { return strconv.FormatUint(uint64(a.batch), 10) }

// alone refuses an action that changed other streams by the same append: it
// would be half undone.
func (a *action) alone(ctx context.Context, db *annals.DB, stream string) error {
	batch := a.events[0].record.Batch
	for r, err := range db.Log().Read(ctx, annals.Query{}, driver.ReadOptions{After: batch - 1}) {
		if err != nil {
			return err
		}
		if r.Batch != batch {
			break
		}
		if r.Stream != stream {
			return fmt.Errorf("the action of position %d also appended position %d (%s) to %q, which would stay", batch, r.Position, r.Type, r.Stream)
		}
	}
	return nil
}

// Revert makes the state that of an earlier version again, by new events: an
// action like any other, which can be undone. The model has a [Handler]. A
// version that does not exist is an error that wraps annals.ErrNotFound; if
// nothing differs, nothing is appended and the receipt is zero.
func (u *Undo[S]) Revert(ctx context.Context, db *annals.DB, id string, version uint64, opts ...annals.UpdateOption) (annals.Receipt, error) {
	return u.change(ctx, db, id, revertKey, opts, func(_ *tracker[S], now *S) (string, []any, error) {
		then, err := u.model.LoadVersion(db.View(ctx), id, version)
		if err != nil {
			return "", nil, err
		}
		p, err := patchBack(statediff.DiffGo(reflect.ValueOf(then).Elem(), reflect.ValueOf(now).Elem()))
		if err != nil || len(p.Fields) == 0 {
			return "", nil, err
		}
		return strconv.FormatUint(version, 10), []any{p}, nil
	})
}

// Compensate takes back the action whose append has the event at a position,
// whoever did it and whatever came after, if guard allows it: guard looks at
// the entity's present state and what it decides on holds at the append. It is
// an action of the context's actor, which can be undone. An action that reaches
// into other streams is refused, as Undo does.
func (u *Undo[S]) Compensate(ctx context.Context, db *annals.DB, id string, position annals.Position, guard func(now *S) error, opts ...annals.UpdateOption) (annals.Receipt, error) {
	return u.change(ctx, db, id, compensateKey, opts, func(t *tracker[S], now *S) (string, []any, error) {
		var found *action
		for _, a := range t.actions {
			for i := range a.events {
				if a.events[i].record.Position == position {
					found = a
				}
			}
		}
		if found == nil {
			return "", nil, fmt.Errorf("an action at position %d in %q: %w", position, t.stream, annals.ErrNotFound)
		}
		if found.undone {
			return "", nil, fmt.Errorf("the action of position %d in %q is undone already", found.batch, t.stream)
		}
		if err := found.alone(ctx, db, t.stream); err != nil {
			return "", nil, fmt.Errorf("compensate in %q: %w", t.stream, err)
		}
		if guard != nil {
			if err := guard(now); err != nil {
				return "", nil, err
			}
		}
		events, err := found.reversal()
		return found.name(), events, err
	})
}

// recorder is what an entity gives to record with.
type recorder interface {
	Record(event any, opts ...annals.RecordOption) error
	Version() uint64
}

// change appends the events that decide names, with key in their metadata.
func (u *Undo[S]) change(ctx context.Context, db *annals.DB, id, key string, opts []annals.UpdateOption,
	decide func(*tracker[S], *S) (string, []any, error),
) (annals.Receipt, error) {
	t := u.tracker(db, u.model.Stream(id))
	defer t.mu.Unlock()
	return db.Update(ctx, func(tx *annals.Tx) error {
		s, err := u.model.Load(tx, id)
		if err != nil {
			return err
		}
		entity := any(s).(recorder)
		if err := t.catchUp(ctx, db, entity.Version()); err != nil {
			*t.tracker = *newTracker(u, t.stream)
			return fmt.Errorf("follow %q: %w", t.stream, err)
		}
		value, events, err := decide(t.tracker, s)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := entity.Record(e, annals.Meta(key, value)); err != nil {
				return err
			}
		}
		return nil
	}, opts...)
}

// Action is what one actor did by one append.
type Action struct {
	Batch    annals.Position // the append it was done by
	Actor    string
	Time     time.Time // when the log took its effect last
	Versions []uint64  // of the entity, by the append that has its effect now
	Types    []string  // of those events
	Undone   bool
	Kind     string // "" for an action of the application, "revert", "compensates"
}

// Actions returns the actions on the entity with the given ID, in the order
// they were first done.
func (u *Undo[S]) Actions(ctx context.Context, db *annals.DB, id string) ([]Action, error) {
	s, err := u.model.Load(db.View(ctx), id)
	if err != nil {
		return nil, err
	}
	t := u.tracker(db, u.model.Stream(id))
	defer t.mu.Unlock()
	if err := t.catchUp(ctx, db, any(s).(recorder).Version()); err != nil {
		*t.tracker = *newTracker(u, t.stream)
		return nil, err
	}
	out := make([]Action, len(t.actions))
	for i, a := range t.actions {
		out[i] = Action{Batch: a.batch, Actor: a.actor, Undone: a.undone, Kind: a.kind, Types: slices.Clone(a.types), Time: a.events[0].record.Time}
		for _, e := range a.events {
			out[i].Versions = append(out[i].Versions, e.record.Version)
		}
	}
	return out, nil
}
