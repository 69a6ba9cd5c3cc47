// Package declared makes projections of what a configuration file says: which
// events, and a jq fold that makes the next state of a row or a document of
// each. The command line runs them; a program that is written in Go has package
// projection itself.
//
// Start with [Declaration], the form of the file, and [Declaration.Versions].
//
// Events are grouped by a key, the stream unless "by" says otherwise. The fold's
// input is the row of the event's key as an object ({} where there is none), and
// its output is the row from then on; null removes it. So the row is all that a
// fold remembers.
package declared
