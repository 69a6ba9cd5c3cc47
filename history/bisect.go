package history

import (
	"context"
	"fmt"

	"github.com/annals-db/annals"
)

// Bisection is what [History.Bisect] found.
type Bisection struct {
	Flip          // a flip between the two points: some flip, not surely the first
	Tested int    // versions at which the predicate was tested
	Folded uint64 // events folded for it
}

// Bisect finds an event between two points at which p flips, by halving: it
// tests p at about log2(n) of the n versions between. Where p flips more than
// once it finds one of the flips, no matter which; [History.First] finds the
// first and [History.Flips] all. If p does not differ between the two points
// the error says so and wraps annals.ErrNotFound.
//
// The first time it folds everything once and remembers states on the way, as
// [History.Prepare] does; after that it folds but a small part.
func (h *History) Bisect(ctx context.Context, p Predicate, from, to Point) (Bisection, error) {
	low, err := h.resolve(ctx, from)
	if err != nil {
		return Bisection{}, err
	}
	high, err := h.lastAt(ctx, to)
	if err != nil {
		return Bisection{}, err
	}
	if low > high {
		low, high = high, low
	}
	var b Bisection
	s, err := h.stations(ctx, high, &b.Folded)
	if err != nil {
		return b, err
	}
	holdsLow, _, err := h.probe(ctx, s, p, low, &b)
	if err != nil {
		return b, err
	}
	holdsHigh, record, err := h.probe(ctx, s, p, high, &b)
	if err != nil {
		return b, err
	}
	if holdsLow == holdsHigh {
		return b, fmt.Errorf("%w: no flip, for %s %s at both version %d and version %d of %q", annals.ErrNotFound, p, hold(holdsLow), low, high, h.stream)
	}
	for high-low > 1 {
		mid := low + (high-low)/2
		holds, rec, err := h.probe(ctx, s, p, mid, &b)
		if err != nil {
			return b, err
		}
		if holds == holdsLow {
			low = mid
		} else {
			high, record = mid, rec
		}
	}
	b.Flip = Flip{Record: record, Holds: holdsHigh}
	return b, nil
}

func hold(holds bool) string {
	if holds {
		return "holds"
	}
	return "does not hold"
}

// probe tests p after the event of version v, from the nearest station before.
func (h *History) probe(ctx context.Context, s *stations, p Predicate, v uint64, b *Bisection) (bool, annals.Record, error) {
	if v == 0 {
		return false, annals.Record{}, nil
	}
	b.Tested++
	var holds bool
	var last annals.Record
	err := h.eachFrom(ctx, s.before(v), v, &p, func(r run, rec annals.Record) bool {
		b.Folded++
		holds, last = r.holds(), rec
		return true
	})
	return holds, last, err
}
