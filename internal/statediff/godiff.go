package statediff

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals/internal/fold"
)

// entity reports whether t is annals.Entity, which is no part of a state.
func entity(t reflect.Type) bool {
	return t.Name() == "Entity" && t.PkgPath() == "github.com/annals-db/annals"
}

// DiffGo returns the fields in which two values of one Go type differ, named
// as encoding/json names them. Only what differs is turned into JSON.
func DiffGo(a, b reflect.Value) []Change {
	var d differ
	d.values(a, b)
	return d.changes
}

// goField is a field of a struct as encoding/json sees it.
type goField struct {
	name      string
	index     int
	omitEmpty bool
	omitZero  bool
	inline    bool // an embedded struct whose fields count as the outer one's
}

var goFields sync.Map // reflect.Type to []goField

func fieldsOf(t reflect.Type) []goField {
	if known, ok := goFields.Load(t); ok {
		return known.([]goField)
	}
	var fields []goField
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inline := f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct
		if entity(f.Type) || tag == "-" || !f.IsExported() && !inline {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		fields = append(fields, goField{name: tag, index: i, inline: inline,
			omitEmpty: strings.Contains(options, "omitempty"), omitZero: strings.Contains(options, "omitzero")})
	}
	goFields.Store(t, fields)
	return fields
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	ownForms      sync.Map // reflect.Type to bool
)

func ownForm(t reflect.Type) bool {
	if known, ok := ownForms.Load(t); ok {
		return known.(bool)
	}
	p := reflect.PointerTo(t)
	own := p.Implements(jsonMarshaler) || p.Implements(textMarshaler)
	ownForms.Store(t, own)
	return own
}

// asJSON returns a Go value as a JSON value.
func asJSON(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	value, err := fold.Parse(text)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return value
}

func (d *differ) set(a, b reflect.Value) { d.add(Set, asJSON(a), asJSON(b)) }

// values compares two Go values of one type.
func (d *differ) values(a, b reflect.Value) {
	t := a.Type()
	switch t.Kind() {
	case reflect.Bool:
		if a.Bool() != b.Bool() {
			d.set(a, b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if a.Int() != b.Int() {
			d.set(a, b)
		}
	case reflect.String:
		if a.String() != b.String() {
			d.set(a, b)
		}
	case reflect.Struct:
		if ownForm(t) {
			d.opaque(a, b)
			return
		}
		d.structs(t, a, b)
	case reflect.Pointer:
		switch {
		case ownForm(t.Elem()):
			d.opaque(a, b)
		case a.IsNil() != b.IsNil():
			d.set(a, b)
		case !a.IsNil() && a.Pointer() != b.Pointer():
			d.values(a.Elem(), b.Elem())
		}
	case reflect.Map:
		d.maps(a, b)
	case reflect.Slice, reflect.Array:
		d.lists(t, a, b)
	default:
		d.opaque(a, b)
	}
}

func (d *differ) opaque(a, b reflect.Value) {
	if !reflect.DeepEqual(a.Interface(), b.Interface()) {
		d.set(a, b)
	}
}

func (d *differ) structs(t reflect.Type, a, b reflect.Value) {
	for _, f := range fieldsOf(t) {
		x, y := a.Field(f.index), b.Field(f.index)
		if f.inline {
			d.structs(x.Type(), x, y)
			continue
		}
		d.path = append(d.path, f.name)
		switch xOut, yOut := f.out(x), f.out(y); {
		case xOut && yOut:
		case xOut:
			d.add(Added, nil, asJSON(y))
		case yOut:
			d.add(Removed, asJSON(x), nil)
		default:
			d.values(x, y)
		}
		d.path = d.path[:len(d.path)-1]
	}
}

// out reports whether encoding/json leaves a field with value v out.
func (f *goField) out(v reflect.Value) bool {
	if f.omitZero && v.IsZero() {
		return true
	}
	if !f.omitEmpty {
		return false
	}
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func (d *differ) maps(a, b reflect.Value) {
	type entry struct {
		name string
		x, y reflect.Value
	}
	var entries []entry
	for it := a.MapRange(); it.Next(); {
		entries = append(entries, entry{keyName(it.Key()), it.Value(), b.MapIndex(it.Key())})
	}
	for it := b.MapRange(); it.Next(); {
		if !a.MapIndex(it.Key()).IsValid() {
			entries = append(entries, entry{keyName(it.Key()), reflect.Value{}, it.Value()})
		}
	}
	slices.SortFunc(entries, func(p, q entry) int { return strings.Compare(p.name, q.name) })
	for _, e := range entries {
		d.pair(e.name, e.x, e.y)
	}
}

func keyName(k reflect.Value) string {
	if t, ok := k.Interface().(encoding.TextMarshaler); ok {
		if text, err := t.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(k.Interface())
}

func (d *differ) lists(t reflect.Type, a, b reflect.Value) {
	if t.Elem().Kind() == reflect.Uint8 || ownForm(t) { // base64, json.RawMessage
		d.opaque(a, b)
		return
	}
	for i := range max(a.Len(), b.Len()) {
		var x, y reflect.Value
		if i < a.Len() {
			x = a.Index(i)
		}
		if i < b.Len() {
			y = b.Index(i)
		}
		d.pair(i, x, y)
	}
}

// pair compares what is under step, where one of the two may be missing.
func (d *differ) pair(step any, x, y reflect.Value) {
	d.path = append(d.path, step)
	switch {
	case !x.IsValid():
		d.add(Added, nil, asJSON(y))
	case !y.IsValid():
		d.add(Removed, asJSON(x), nil)
	default:
		d.values(x, y)
	}
	d.path = d.path[:len(d.path)-1]
}
