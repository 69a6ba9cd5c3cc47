package codec

import (
	"fmt"
	"reflect"
	"time"
)

// tryOut encodes and decodes a sample of t, so that a type the codec refuses
// is refused when it is declared. Types with their own form may refuse the
// sample, so where there are any, errors decide nothing.
func (b *builder) tryOut(t reflect.Type) error {
	if b.own {
		return nil
	}
	v := reflect.New(t)
	b.sample(v.Elem(), 4)
	data, err := b.codec.Marshal(v.Interface())
	if err != nil {
		return &TypeError{typeName(t), t, err.Error()}
	}
	back := reflect.New(t)
	if err := b.codec.Unmarshal(data, back.Interface()); err != nil {
		return &TypeError{typeName(t), t, fmt.Sprintf("%s is not decoded: %v", data, err)}
	}
	return nil
}

// promoted returns the name of a field of t that is lost because t's own form
// is that of a type it embeds, "" if there is none.
func (b *builder) promoted(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	embeds := false
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.IsExported() {
			writes, _ := b.rules.Own(f.Type)
			embeds = embeds || writes
		}
	}
	if !embeds {
		return ""
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous {
			continue
		}
		v, back := reflect.New(t), reflect.New(t)
		b.sample(v.Elem().Field(i), 4)
		data, err := b.codec.Marshal(v.Interface())
		if err != nil || b.codec.Unmarshal(data, back.Interface()) != nil {
			continue
		}
		if !reflect.DeepEqual(v.Elem().Field(i).Interface(), back.Elem().Field(i).Interface()) {
			return f.Name
		}
	}
	return ""
}

// sample fills v with something that is not zero, through depth pointers,
// slices and maps.
func (b *builder) sample(v reflect.Value, depth int) {
	if !v.CanSet() {
		return
	}
	if _, ok := v.Interface().(time.Time); ok {
		v.Set(reflect.ValueOf(time.Unix(1, 1).UTC()))
		return
	}
	if writes, reads := b.rules.Own(v.Type()); writes || reads {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if depth > 0 {
			b.sampleReference(v, depth-1)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	case reflect.String:
		v.SetString("1") // also a number, for json.Number
	case reflect.Array:
		for i := range v.Len() {
			b.sample(v.Index(i), depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			b.sample(v.Field(i), depth)
		}
	}
}

func (b *builder) sampleReference(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		b.sample(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		b.sample(v.Index(0), depth)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		b.sample(key, depth)
		b.sample(elem, depth)
		v.SetMapIndex(key, elem)
	}
}
