// Package undo gives users undo and redo of what is kept as events. Undoing
// appends events; so it is in the history itself, survives restarts, can be
// seen, and can be undone.
//
// [New] makes the undo of a model. How an event is reversed the application
// declares by [Inverse]; any other event is reversed in the general way: an
// event [Patched] sets the fields it changed back to their earlier values. The
// model says that it listens to those by [Handler].
//
//	var Drawings = annals.NewModel("drawing",
//		annals.On(func(d *Drawing, e ShapeMoved) { … }),
//		undo.Handler[Drawing](),
//	)
//	var Undo = undo.New(Drawings)
//
//	receipt, err := Undo.Undo(annals.WithActor(ctx, "alice"), db, "plan")
//
// Three operations are named apart:
//
//   - [Undo.Undo] and [Undo.Redo]: one's own last action, among those of other
//     users, whose later changes stay. It is refused with a [DependsError], which
//     names the event in the way, when a later change depends on it.
//   - [Undo.Revert]: the state of an earlier version again.
//   - [Undo.Compensate]: any action of anyone reversed, guarded by a condition
//     on the present state instead of by dependence.
//
// An action is one append of one actor, who is the "actor" in the metadata
// ([annals.WithActor]). A new action of an actor clears that actor's redo.
// Depth is unbounded.
//
// In the general way a later change depends on an earlier one when it wrote a
// field that the earlier one wrote. A type with a declared inverse depends on
// nothing and nothing depends on it, unless [Conflict] declares so: the inverse
// of a counter's step is a step back, whatever others have counted since.
package undo
