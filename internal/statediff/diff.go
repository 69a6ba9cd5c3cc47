// Package statediff compares states field by field: JSON values with each
// other, or two values of one Go type as encoding/json would show them. What it
// finds can be set again in a Go value ([Patch]).
package statediff

import (
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// Change is a field that differs between two states. Old is absent for a field
// that came, New for one that went.
type Change struct {
	Path Path
	Old  any // a JSON value: nil, bool, string, int, float64, *big.Int, json.Number, []any, map[string]any
	New  any
	Kind Kind
}

// Kind says what a [Change] did.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Set     Kind = "set"
)

// Diff returns the fields in which two JSON values differ, in order of their
// names and indexes. Where an object or array came or went whole it is one
// change.
func Diff(a, b any) []Change {
	var d differ
	d.diff(a, b)
	return d.changes
}

type differ struct {
	path    Path
	changes []Change
	bare    bool // without values
	sync    bool // a is made what b is
	stale   bool // where that could not be
}

func (d *differ) add(kind Kind, a, b any) {
	d.stale = d.stale || d.sync
	d.changes = append(d.changes, Change{Path: slices.Clone(d.path), Old: a, New: b, Kind: kind})
}

func (d *differ) at(step any, f func()) {
	d.path = append(d.path, step)
	f()
	d.path = d.path[:len(d.path)-1]
}

func (d *differ) diff(a, b any) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			d.objects(x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			d.arrays(x, y)
			return
		}
	}
	if !sameScalar(a, b) {
		d.add(Set, a, b)
	}
}

func (d *differ) objects(a, b map[string]any) {
	if reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() {
		return // states share what a fold did not touch
	}
	var names []string
	for name, x := range a {
		if y, ok := b[name]; !ok || !same(x, y) {
			names = append(names, name)
		}
	}
	if len(a) != len(b) || len(names) > 0 {
		for name := range b {
			if _, ok := a[name]; !ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		d.at(name, func() {
			x, inA := a[name]
			y, inB := b[name]
			switch {
			case !inA:
				d.add(Added, nil, y)
			case !inB:
				d.add(Removed, x, nil)
			default:
				d.diff(x, y)
			}
		})
	}
}

func (d *differ) arrays(a, b []any) {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return
	}
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			d.at(i, func() { d.add(Added, nil, b[i]) })
		case i >= len(b):
			d.at(i, func() { d.add(Removed, a[i], nil) })
		case !same(a[i], b[i]):
			d.at(i, func() { d.diff(a[i], b[i]) })
		}
	}
}

// same reports whether a and b are surely the same without a look inside:
// equal scalars, or one and the same object or array.
func same(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && reflect.ValueOf(x).UnsafePointer() == reflect.ValueOf(y).UnsafePointer()
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	}
	return sameScalar(a, b)
}

func sameScalar(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		y, ok := b.(string)
		return ok && x == y
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case int:
		if y, ok := b.(int); ok {
			return x == y
		}
	case json.Number:
		if y, ok := b.(json.Number); ok && x == y {
			return true
		}
	}
	return sameNumber(a, b)
}

func sameNumber(a, b any) bool {
	x, y := number(a), number(b)
	return x != nil && y != nil && x.Cmp(y) == 0
}

// number returns v's exact value, nil if it is no number.
func number(v any) *big.Rat {
	switch n := v.(type) {
	case int:
		return new(big.Rat).SetInt64(int64(n))
	case float64:
		return new(big.Rat).SetFloat64(n)
	case *big.Int:
		return new(big.Rat).SetInt(n)
	case json.Number:
		if strings.ContainsAny(string(n), "eE") { // 1e999999999 is not worked out
			if f, err := n.Float64(); err == nil {
				return new(big.Rat).SetFloat64(f)
			}
		} else if r, ok := new(big.Rat).SetString(string(n)); ok {
			return r
		}
	}
	return nil
}

// Leaves calls f with every field of v that is not an object or array with
// something in it.
func Leaves(path Path, v any, f func(Path, any)) {
	switch x := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			Leaves(append(path, name), x[name], f)
		}
		if len(x) > 0 {
			return
		}
	case []any:
		for i := range x {
			Leaves(append(path, i), x[i], f)
		}
		if len(x) > 0 {
			return
		}
	}
	f(slices.Clone(path), v)
}
