package codec

import (
	"fmt"
	"reflect"
	"strconv"
)

// Checker refuses values of one event type that would not come back as they
// were. It is safe for concurrent use.
//
// Coming back as they were means: equal by reflect.DeepEqual, except that
//   - times are equal by time.Time.Equal,
//   - a nil json.RawMessage comes back as null, and one with white space without it,
//   - what the struct tags tell the codec to leave out (a field tagged "-", an
//     empty slice or map with omitempty) is not looked at.
type Checker struct {
	typ   reflect.Type
	check check // nil if every value survives
}

// TypeError says which part of a type cannot come back equal.
type TypeError struct {
	Path   string // from the type's name: "ItemCreated.Lines[].Price"
	Type   reflect.Type
	Reason string
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("%s (%s) cannot be kept: %s", e.Path, e.Type, e.Reason)
}

// ValueError says which part of a value cannot come back equal.
type ValueError struct {
	Path   string // from the type's name: "ItemCreated.Lines[2].Price"
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s cannot be kept: %s", e.Path, e.Reason)
}

// NewChecker returns the checker of the event type t, a struct or another
// type, under c. It returns a *[TypeError] if some value of t would silently
// lose a part that no look at a single value can tell.
func NewChecker(t reflect.Type, c Codec) (*Checker, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	b := &builder{rules: rulesOf(c), codec: c, nodes: map[reflect.Type]*node{}}
	n, err := b.build(t, typeName(t))
	if err != nil {
		return nil, err
	}
	b.settle()
	if err := b.tryOut(t); err != nil {
		return nil, err
	}
	return &Checker{typ: t, check: n.check}, nil
}

// Value returns a *[ValueError] if v, an event or a pointer to one, would not
// come back as it is.
func (c *Checker) Value(v any) error {
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return &ValueError{typeName(c.typ), "it is nil"}
		}
		r = r.Elem()
	}
	if !r.IsValid() || r.Type() != c.typ {
		return &ValueError{typeName(c.typ), fmt.Sprintf("it is a %T", v)}
	}
	if c.check == nil {
		return nil
	}
	if f := c.check(r, 0); f != nil {
		return &ValueError{typeName(c.typ) + f.path, f.reason}
	}
	return nil
}

func typeName(t reflect.Type) string {
	if t.Name() != "" {
		return t.Name()
	}
	return t.String()
}

// check looks at one value; nil stands for a check that cannot fail.
type check func(v reflect.Value, depth int) *fault

// fault is a reason and the path from the value looked at to where it is.
type fault struct{ path, reason string }

func (f *fault) under(step string) *fault {
	f.path = step + f.path
	return f
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// maxDepth bounds how deep a value may nest; deeper ones are taken for cycles.
const maxDepth = 1000
