package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Supposition is what a [History.WhatIf] supposes to have been otherwise.
type Supposition struct {
	Without []uint64                   // versions that did not happen
	Instead map[uint64]annals.Record   // other events in place of those of some versions
	Extra   map[uint64][]annals.Record // further events behind those of some versions; 0: before the first
	Fold    Fold                       // another fold. Defaults to the history's own
}

// Outcome is what came of a supposition.
type Outcome struct {
	Actual, Supposed any      // the states, as JSON values
	Changes          []Change // from Actual to Supposed
}

// WhatIf folds the events up to a point once as they are and once as s
// supposes, and compares the outcomes. Nothing is written. A version in s that
// does not exist is a *driver.PositionError.
func (h *History) WhatIf(ctx context.Context, at Point, s Supposition) (*Outcome, error) {
	last, err := h.resolve(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := s.check(h, last); err != nil {
		return nil, err
	}
	var o Outcome
	if o.Actual, err = h.stateAt(ctx, last); err != nil {
		return nil, err
	}
	f := h.fold
	if s.Fold != nil {
		f = s.Fold
	}
	if o.Supposed, err = h.suppose(ctx, f, last, s); err != nil {
		return nil, fmt.Errorf("as supposed: %w", err)
	}
	o.Changes = Diff(o.Actual, o.Supposed)
	return &o, nil
}

func (s Supposition) check(h *History, last uint64) error {
	exists := func(v uint64) error {
		if v > last {
			return &driver.PositionError{What: fmt.Sprintf("version %d of %q (the last here is %d)", v, h.stream, last)}
		}
		return nil
	}
	for _, v := range s.Without {
		if err := exists(v); err != nil || v == 0 {
			return firstError(err, &driver.PositionError{What: fmt.Sprintf("version 0 of %q", h.stream)})
		}
	}
	for v := range s.Instead {
		if err := exists(v); err != nil {
			return err
		}
	}
	for v := range s.Extra {
		if err := exists(v); err != nil {
			return err
		}
	}
	return nil
}

func (h *History) suppose(ctx context.Context, f Fold, last uint64, s Supposition) (any, error) {
	r, err := f.start(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	defer r.close()
	extra := func(v uint64) error {
		for _, e := range s.Extra[v] {
			if err := r.apply(&e); err != nil {
				return err
			}
		}
		return nil
	}
	if err := extra(0); err != nil {
		return nil, err
	}
	for rec, err := range h.records(ctx, 0, last) {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(s.Without, rec.Version) {
			happened := rec
			if other, ok := s.Instead[rec.Version]; ok {
				happened = other
			}
			if err := r.apply(&happened); err != nil {
				return nil, err
			}
		}
		if err := extra(rec.Version); err != nil {
			return nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r.value()
}
