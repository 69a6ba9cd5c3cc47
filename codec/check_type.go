package codec

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// builder compiles the check of a type and all it contains.
type builder struct {
	rules Rules
	codec Codec
	nodes map[reflect.Type]*node
	own   bool // some type brings its own form
}

// node is a type being compiled. A type that contains itself finds the node
// and goes through it.
type node struct {
	check     check
	done      bool
	recursive bool
}

func (b *builder) build(t reflect.Type, path string) (*node, error) {
	if n, ok := b.nodes[t]; ok {
		if !n.done {
			n.recursive = true
		}
		return n, nil
	}
	n := &node{}
	b.nodes[t] = n
	c, err := b.compile(t, path)
	if err != nil {
		return nil, err
	}
	n.check, n.done = c, true
	return n, nil
}

// settle bounds the depth of the types that contain themselves.
func (b *builder) settle() {
	for _, n := range b.nodes {
		if inner := n.check; n.recursive && inner != nil {
			n.check = func(v reflect.Value, depth int) *fault {
				if depth > maxDepth {
					return &fault{reason: fmt.Sprintf("it nests deeper than %d, or contains itself", maxDepth)}
				}
				return inner(v, depth+1)
			}
		}
	}
}

// via returns the check of t's node, looked up when run if t is still being compiled.
func (b *builder) via(t reflect.Type, path string) (check, error) {
	n, err := b.build(t, path)
	if err != nil {
		return nil, err
	}
	if n.done && !n.recursive {
		return n.check, nil
	}
	return func(v reflect.Value, depth int) *fault {
		if n.check == nil {
			return nil
		}
		return n.check(v, depth)
	}, nil
}

func isRaw(t reflect.Type) bool {
	return t == reflect.TypeFor[stdjson.RawMessage]() || t == reflect.TypeFor[jsontext.Value]()
}

func (b *builder) compile(t reflect.Type, path string) (check, error) {
	if isRaw(t) {
		return checkRaw, nil
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return checkTime, nil
	case reflect.TypeFor[stdjson.Number]():
		return checkNumber, nil
	case reflect.TypeFor[big.Int](), reflect.TypeFor[big.Float](), reflect.TypeFor[big.Rat]():
		return nil, nil
	}
	if c, own, err := b.ownForm(t, path); own || err != nil {
		return c, err
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil, nil
	case reflect.Float32, reflect.Float64:
		if b.rules.AnyFloat {
			return nil, nil
		}
		return checkFloat, nil
	case reflect.String:
		return checkString, nil
	case reflect.Pointer:
		return b.compilePointer(t, path)
	case reflect.Slice, reflect.Array:
		return b.compileList(t, path)
	case reflect.Map:
		return b.compileMap(t, path)
	case reflect.Struct:
		return b.compileStruct(t, path)
	case reflect.Interface:
		return nil, &TypeError{path, t, "nothing tells which type an interface held; use a concrete type or json.RawMessage"}
	}
	return nil, &TypeError{path, t, fmt.Sprintf("a %s has no encoded form", t.Kind())}
}

// ownForm looks at types that encode themselves: what they write is theirs to read.
func (b *builder) ownForm(t reflect.Type, path string) (check, bool, error) {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil, false, nil // its element is looked at
	}
	writes, reads := b.rules.Own(t)
	if writes != reads {
		has, lacks := "writes", "read"
		if reads {
			has, lacks = "reads", "write"
		}
		return nil, false, &TypeError{path, t, fmt.Sprintf("a method of its own %s its encoded form but none %ss it", has, lacks)}
	}
	if !writes {
		return nil, false, nil
	}
	b.own = true
	if lost := b.promoted(t); lost != "" {
		return nil, false, &TypeError{path + "." + lost, t, "the embedded type's own encoded form replaces that of the whole struct, and this field is lost"}
	}
	return nil, true, nil
}

func (b *builder) compilePointer(t reflect.Type, path string) (check, error) {
	elem, err := b.via(t.Elem(), path)
	if err != nil {
		return nil, err
	}
	nullable := false
	switch t.Elem().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		nullable = true
	}
	raw := isRaw(t.Elem())
	if elem == nil && !nullable {
		return nil, nil
	}
	return func(v reflect.Value, depth int) *fault {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
		if nullable && v.IsNil() || raw && bytes.Equal(bytes.TrimSpace(v.Bytes()), []byte("null")) {
			return &fault{reason: "a pointer to nil comes back as nil"}
		}
		if elem == nil {
			return nil
		}
		return elem(v, depth)
	}, nil
}

func (b *builder) compileList(t reflect.Type, path string) (check, error) {
	elem, err := b.via(t.Elem(), path+"[]")
	if err != nil || elem == nil {
		return nil, err
	}
	return func(v reflect.Value, depth int) *fault {
		for i := range v.Len() {
			if f := elem(v.Index(i), depth); f != nil {
				return f.under(index(i))
			}
		}
		return nil
	}, nil
}

func (b *builder) compileMap(t reflect.Type, path string) (check, error) {
	key, err := b.compileKey(t.Key(), path)
	if err != nil {
		return nil, err
	}
	elem, err := b.via(t.Elem(), path+"[]")
	if err != nil {
		return nil, err
	}
	if key == nil && elem == nil {
		return nil, nil
	}
	return func(v reflect.Value, depth int) *fault {
		for i := v.MapRange(); i.Next(); {
			if key != nil {
				if f := key(i.Key(), depth); f != nil {
					f.reason = "a key: " + f.reason
					return f.under(fmt.Sprintf("[%q]", fmt.Sprint(i.Key())))
				}
			}
			if elem != nil {
				if f := elem(i.Value(), depth); f != nil {
					return f.under(fmt.Sprintf("[%q]", fmt.Sprint(i.Key())))
				}
			}
		}
		return nil
	}, nil
}

func (b *builder) compileKey(t reflect.Type, path string) (check, error) {
	if writes, reads := b.rules.Own(t); writes && reads {
		if t.Kind() != reflect.Pointer {
			return nil, nil
		}
	}
	switch t.Kind() {
	case reflect.String:
		return checkString, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil, nil
	case reflect.Bool:
		if b.rules.AnyKey {
			return nil, nil
		}
	case reflect.Float32, reflect.Float64:
		if b.rules.AnyKey {
			return checkFloatKey, nil
		}
	}
	return nil, &TypeError{path, t, "a map's keys of this type do not survive; use strings, integers or a type with its own text form"}
}
