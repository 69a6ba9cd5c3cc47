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
		value, err := r.value()
		if err != nil {
			return []Change{{New: err.Error(), Kind: Set}}
		}
		if r.last == nil {
			r.last, _ = (&modelRun[S]{s: r.model.Start()}).value()
		}
		before := r.last
		r.last = value
		return Diff(before, value)
	}
	before, _ := r.last.(*S)
	if before == nil {
		before = r.model.Start()
	}
	r.last = now
	return statediff.DiffGo(reflect.ValueOf(before).Elem(), reflect.ValueOf(now).Elem())
}
