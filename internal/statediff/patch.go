package statediff

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/annals-db/annals/internal/fold"
)

// Patch sets the field at path in v, an addressable Go value, to value, JSON
// text; a nil value takes the field out: of a map, or off the end of a slice.
// A slice grows by the element behind its end.
func Patch(v reflect.Value, path Path, value json.RawMessage) error {
	if len(path) == 0 {
		if value == nil {
			v.SetZero()
			return nil
		}
		fresh := reflect.New(v.Type())
		if err := json.Unmarshal(value, fresh.Interface()); err != nil {
			return err
		}
		v.Set(fresh.Elem())
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem()) // what else points there is another field, with a patch of its own
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		v.Set(fresh)
		return Patch(v.Elem(), path, value)
	case reflect.Struct:
		if name, ok := path[0].(string); ok && !ownForm(v.Type()) {
			if f, ok := fieldNamed(v, name); ok {
				return Patch(f, path[1:], value)
			}
		}
	case reflect.Map:
		if name, ok := path[0].(string); ok {
			return patchMap(v, name, path[1:], value)
		}
	case reflect.Slice, reflect.Array:
		if i, ok := path[0].(int); ok {
			return patchList(v, i, path[1:], value)
		}
	}
	return fmt.Errorf("a %s has no field %s", v.Type(), path[:1])
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for _, f := range fieldsOf(v.Type()) {
		if f.inline {
			if inner, ok := fieldNamed(v.Field(f.index), name); ok {
				return inner, true
			}
		} else if f.name == name {
			return v.Field(f.index), true
		}
	}
	return reflect.Value{}, false
}

func patchMap(v reflect.Value, name string, rest Path, value json.RawMessage) error {
	key, err := mapKey(v.Type().Key(), name)
	if err != nil {
		return err
	}
	if len(rest) == 0 && value == nil {
		if !v.IsNil() {
			v.SetMapIndex(key, reflect.Value{})
		}
		return nil
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	element := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(key); old.IsValid() {
		element.Set(old)
	}
	if err := Patch(element, rest, value); err != nil {
		return err
	}
	v.SetMapIndex(key, element)
	return nil
}

func mapKey(t reflect.Type, name string) (reflect.Value, error) {
	key := reflect.New(t)
	if t.Kind() == reflect.String {
		key.Elem().SetString(name)
		return key.Elem(), nil
	}
	// Through a map of that key, so that integers and text forms are read as encoding/json reads them.
	m := reflect.New(reflect.MapOf(t, reflect.TypeFor[int]()))
	if err := json.Unmarshal([]byte("{"+quote(name)+":0}"), m.Interface()); err != nil {
		return reflect.Value{}, err
	}
	return m.Elem().MapKeys()[0], nil
}

func patchList(v reflect.Value, i int, rest Path, value json.RawMessage) error {
	switch {
	case i < v.Len() && len(rest) == 0 && value == nil && v.Kind() == reflect.Slice:
		if i != v.Len()-1 {
			return fmt.Errorf("element %d of %d is taken out from the middle", i, v.Len())
		}
		v.Set(v.Slice(0, i))
		return nil
	case i == v.Len() && v.Kind() == reflect.Slice && value != nil:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case i >= v.Len():
		return fmt.Errorf("element %d of %d does not exist", i, v.Len())
	}
	return Patch(v.Index(i), rest, value)
}

// JSON returns a JSON value as text.
func JSON(value any) (json.RawMessage, error) { return fold.Marshal(value) }
