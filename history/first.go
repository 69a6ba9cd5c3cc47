package history

import (
	"context"
	"fmt"
	"iter"

	"github.com/annals-db/annals"
)

// Flip is an event at which a predicate began to hold or ceased to.
type Flip struct {
	Record annals.Record
	Holds  bool // after the event
}

// First returns the first event after which p holds. It folds once and tests
// each version; if p never holds the error wraps annals.ErrNotFound.
func (h *History) First(ctx context.Context, p Predicate) (Flip, error) {
	last := uint64(0)
	for f, err := range h.flips(ctx, p, &last) {
		if err != nil {
			return Flip{}, err
		}
		if f.Holds {
			return f, nil
		}
	}
	return Flip{}, fmt.Errorf("%w: %s never holds in the %d versions of %q", annals.ErrNotFound, p, last, h.stream)
}

// Flips yields every event at which p began to hold or ceased to, in order. At
// version 0 it counts as not holding.
func (h *History) Flips(ctx context.Context, p Predicate) iter.Seq2[Flip, error] {
	return h.flips(ctx, p, new(uint64))
}

func (h *History) flips(ctx context.Context, p Predicate, last *uint64) iter.Seq2[Flip, error] {
	return func(yield func(Flip, error) bool) {
		var err error
		if *last, err = h.last(ctx); err == nil {
			held := false
			err = h.each(ctx, *last, &p, func(r run, rec annals.Record) bool {
				if r.holds() == held {
					return true
				}
				held = !held
				return yield(Flip{rec, held}, nil)
			})
		}
		if err != nil {
			yield(Flip{}, err)
		}
	}
}
