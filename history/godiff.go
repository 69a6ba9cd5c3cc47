package history

import (
	"reflect"

	"github.com/annals-db/annals/internal/statediff"
)

// changes compares the state with the copy made at the last call, field by
// field in Go, and turns only what differs into JSON. A state that cannot be
// copied is compared as JSON.
func (r *modelRun[S]) changes() []Change {
	now := r.model.Clone(r.s)
	if now == nil {
		return r.changesOfJSON()
	}
	before := r.before()
	r.last = now
	return statediff.DiffGo(reflect.ValueOf(before).Elem(), reflect.ValueOf(now).Elem())
}

// changed is changes without the values. It changes the copy along with the
// state where it can, which costs less than a copy for every event.
func (r *modelRun[S]) changed() []Change {
	before := r.before()
	if before == nil {
		return r.changesOfJSON()
	}
	changes, copied := statediff.Follow(reflect.ValueOf(before).Elem(), reflect.ValueOf(r.s).Elem())
	if !copied {
		r.last = r.model.Clone(r.s)
	}
	return changes
}

// before returns the copy made at the last call, nil if there can be none.
func (r *modelRun[S]) before() *S {
	if before, _ := r.last.(*S); before != nil {
		return before
	}
	before := r.model.Clone(r.model.Start())
	r.last = before
	return before
}

func (r *modelRun[S]) changesOfJSON() []Change {
	value, err := r.value()
	if err != nil {
		return []Change{{New: err.Error(), Kind: Set}}
	}
	if before, isState := r.last.(*S); r.last == nil || isState && before == nil {
		r.last, _ = (&modelRun[S]{s: r.model.Start()}).value()
	}
	before := r.last
	r.last = value
	return Diff(before, value)
}
