// Package fold rebuilds state from records without Go types. A fold is a jq
// program: its input is the state (at first {}), $event is the record in the
// JSON form of package wire, and its one output is the next state:
//
//	.sold += $event.data.quantity
//
// Start with [Compile], or [Merge] for the fold that applies where none is
// given, and run it with [Fold.Over] or, a record at a time, [Fold.Start].
//
// Integers of any size are exact through + - * and %; other numbers are kept
// digit for digit while they are only moved, and are float64 once computed
// with. So that a fold gives the same state whenever and wherever it runs,
// what looks at anything but its input is refused when it is compiled: now,
// env, $ENV, input and the like. A fold that spends too long on one event, or
// fails on it, gives an [Error] that names the event's position.
package fold
