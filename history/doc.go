// Package history is version control for state: what programmers do with code,
// done with anything that is kept as events.
//
// A [History] is one stream seen through a [Fold], which says what its state
// is: [Merge], a jq program by [JQ], or a Go model by [Model].
//
//	h := history.Of(log, "item-laptop", history.Model(db, Items))
//	for e, err := range h.Log(ctx) { … }                          // each event and what it changed
//	changes, err := h.Diff(ctx, history.Version(3), history.Time(lastTuesday))
//	origins, err := h.Blame(ctx, history.Point{}, nil)            // who last changed each field
//	gone := history.When(func(i *Item) bool { return i.Quantity < 0 })
//	flip, err := h.First(ctx, gone)                               // the first event after which it holds
//	b, err := h.Bisect(ctx, gone, history.Version(0), history.Point{})
//	outcome, err := h.WhatIf(ctx, history.Point{}, history.Supposition{Without: []uint64{7}})
//
// A predicate is a Go function by [When] where the fold is a Go model, else a
// jq program by [Holds].
//
// [History.Show] tells everything about one event, [TraceOf] the tree of causes
// and effects it is in. States are compared as JSON values; a field is named by
// its [Path]. Nothing here writes to the log.
package history
