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

// Follow returns what DiffGo does, without the values, and makes copy, an
// addressable value, what now is, where that is no more than a few plain values:
// the usual event changes little of a large state. Where it is more, copied is
// false, and copy must be made anew.
func Follow(copy, now reflect.Value) (changes []Change, copied bool) {
	d := differ{bare: true, sync: true}
	d.values(copy, now)
	return d.changes, !d.stale
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

func (d *differ) set(a, b reflect.Value) { d.add(Set, d.json(a), d.json(b)) }

// scalar is set for values that hold no memory of others.
func (d *differ) scalar(a, b reflect.Value) {
	stale := d.stale
	d.set(a, b)
	if d.sync && a.CanSet() {
		a.Set(b)
		d.stale = stale
	}
}

func (d *differ) json(v reflect.Value) any {
	if d.bare {
		return nil
	}
	return asJSON(v)
}

// values compares two Go values of one type.
func (d *differ) values(a, b reflect.Value) {
	t := a.Type()
	switch t.Kind() {
	case reflect.Bool:
		if a.Bool() != b.Bool() {
			d.scalar(a, b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if a.Int() != b.Int() {
			d.scalar(a, b)
		}
	case reflect.String:
		if a.String() != b.String() {
			d.scalar(a, b)
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
			d.add(Added, nil, d.json(y))
		case yOut:
			d.add(Removed, d.json(x), nil)
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

// mapsOf compares two maps whose values are plain, without reflection.
func mapsOf[V comparable](d *differ, a, b map[string]V) {
	var names []string
	same := 0
	for name, x := range a {
		y, ok := b[name]
		if ok {
			same++
		}
		if !ok || x != y {
			names = append(names, name)
		}
	}
	if same < len(b) {
		for name := range b {
			if _, ok := a[name]; !ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		x, inA := a[name]
		y, inB := b[name]
		stale := d.stale
		d.path = append(d.path, name)
		switch {
		case !inA:
			d.add(Added, nil, d.plain(y))
		case !inB:
			d.add(Removed, d.plain(x), nil)
		default:
			d.add(Set, d.plain(x), d.plain(y))
		}
		d.path = d.path[:len(d.path)-1]
		if !d.sync || a == nil {
			continue
		}
		d.stale = stale
		if inB {
			a[name] = y
		} else {
			delete(a, name)
		}
	}
}

func (d *differ) plain(v any) any {
	if d.bare {
		return nil
	}
	return asJSON(reflect.ValueOf(v))
}

func (d *differ) maps(a, b reflect.Value) {
	switch x := a.Interface().(type) {
	case map[string]int:
		mapsOf(d, x, b.Interface().(map[string]int))
		return
	case map[string]int64:
		mapsOf(d, x, b.Interface().(map[string]int64))
		return
	case map[string]string:
		mapsOf(d, x, b.Interface().(map[string]string))
		return
	case map[string]bool:
		mapsOf(d, x, b.Interface().(map[string]bool))
		return
	}
	type entry struct {
		name string
		key  reflect.Value
	}
	var differ []entry
	note := func(key reflect.Value) {
		kept := reflect.New(key.Type()).Elem() // the iterator's own is used again
		kept.Set(key)
		differ = append(differ, entry{keyName(kept), kept})
	}
	t := a.Type()
	key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	plain := plainType(t.Elem())
	same := 0
	for it := a.MapRange(); it.Next(); {
		key.SetIterKey(it)
		other := b.MapIndex(key)
		if plain && other.IsValid() {
			value.SetIterValue(it)
			if value.Equal(other) {
				same++
				continue
			}
		}
		note(key)
		if other.IsValid() {
			same++
		}
	}
	if same < b.Len() {
		for it := b.MapRange(); it.Next(); {
			key.SetIterKey(it)
			if !a.MapIndex(key).IsValid() {
				note(key)
			}
		}
	}
	slices.SortFunc(differ, func(p, q entry) int { return strings.Compare(p.name, q.name) })
	for _, e := range differ {
		stale, sync := d.stale, d.sync
		d.sync = sync && !plain // a plain value is set whole
		d.pair(e.name, a.MapIndex(e.key), b.MapIndex(e.key))
		if d.sync = sync; sync && plain {
			if d.stale = stale || a.IsNil(); !a.IsNil() {
				a.SetMapIndex(e.key, b.MapIndex(e.key))
			}
		}
	}
}

// plainType reports whether values of t are equal by == if and only if their
// JSON is.
func plainType(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return !ownForm(t)
	case reflect.Struct:
		if ownForm(t) {
			return false
		}
		for i := range t.NumField() {
			if f := t.Field(i); !f.IsExported() || !plainType(f.Type) {
				return false
			}
		}
		return true
	}
	return false
}

func keyName(k reflect.Value) string {
	if k.Kind() == reflect.String && !ownForm(k.Type()) {
		return k.String()
	}
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
		d.add(Added, nil, d.json(y))
	case !y.IsValid():
		d.add(Removed, d.json(x), nil)
	default:
		d.values(x, y)
	}
	d.path = d.path[:len(d.path)-1]
}
