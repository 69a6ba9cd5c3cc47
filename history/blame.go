package history

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/statediff"
)

// Origin is a field of a state and the event that last changed it.
type Origin struct {
	Path   Path
	Value  any
	Record annals.Record // Position is 0 where no event has: the field is as the fold begins
}

// Blame returns, for every field of the state at a point, the event that last
// changed its value, in order of the fields. With a path, only of the fields
// it leads to; a path that leads to nothing is an error that wraps
// annals.ErrNotFound.
func (h *History) Blame(ctx context.Context, at Point, path Path) ([]Origin, error) {
	version, err := h.lastAt(ctx, at)
	if err != nil {
		return nil, err
	}
	last := map[string]*annals.Record{} // by path; with a NUL behind it, of what was taken out of the object or array there
	var value any
	var inner error
	err = h.each(ctx, version, nil, func(r run, rec annals.Record) bool {
		if changes := r.changed(); len(changes) > 0 {
			kept := rec
			for _, c := range changes {
				last[c.Path.String()] = &kept
				if c.Kind == Removed {
					last[c.Path[:len(c.Path)-1].String()+"\x00"] = &kept
				}
			}
		}
		if rec.Version == version {
			value, inner = r.value()
		}
		return true
	})
	if err != nil || inner != nil {
		return nil, firstError(err, inner)
	}
	var origins []Origin
	statediff.Leaves(nil, value, func(p Path, v any) {
		if p.Within(path) {
			origins = append(origins, Origin{Path: p, Value: v, Record: lastOf(last, p, v)})
		}
	})
	if len(origins) == 0 {
		return nil, fmt.Errorf("%w: field %s of %q at version %d", annals.ErrNotFound, path, h.stream, version)
	}
	return origins, nil
}

// lastOf returns the last event that changed the field at p, or what it is in.
func lastOf(last map[string]*annals.Record, p Path, value any) annals.Record {
	var found annals.Record
	look := func(key string) {
		if r := last[key]; r != nil && r.Position > found.Position {
			found = *r
		}
	}
	for i := range len(p) + 1 {
		look(p[:i].String())
	}
	switch value.(type) {
	case map[string]any, []any: // empty: the last thing taken out changed it
		look(p.String() + "\x00")
	}
	return found
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
