package history

import "github.com/annals-db/annals/internal/statediff"

// Path leads to a field of a state: names (string) and indexes (int) from the
// outside in. The empty path is the state itself. Its String is what jq writes:
// .lines[2].price.
type Path = statediff.Path

// ParsePath parses what [Path].String writes, and names joined by dots without
// the first dot.
func ParsePath(text string) (Path, error) { return statediff.ParsePath(text) }

// Change is a field that differs between two states. Old is absent for a field
// that came, New for one that went. Values are JSON values: nil, bool, string,
// int, float64, *big.Int, json.Number, []any, map[string]any.
type Change = statediff.Change

// Kind says what a [Change] did.
type Kind = statediff.Kind

// The kinds of change.
const (
	Added   = statediff.Added
	Removed = statediff.Removed
	Set     = statediff.Set
)

// Diff returns the fields in which two JSON values differ, in order of their
// names and indexes. Where an object or array came or went whole it is one
// change.
func Diff(a, b any) []Change { return statediff.Diff(a, b) }
