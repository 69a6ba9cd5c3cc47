// Package jsonl writes a log as lines of JSON and reads it back, in the form
// of package wire. An export of a whole log, imported into an empty one, gives
// the same log: positions, times, IDs, batches, conditions, and so the same
// running hash. Start with [Export] and [Import].
package jsonl
