package codec

import (
	"reflect"
	"strings"
)

// field is a struct field that the codec keeps and whose value can fail.
type field struct {
	index int
	name  string
	check check
}

func (b *builder) compileStruct(t reflect.Type, path string) (check, error) {
	if err := b.distinctNames(t, path); err != nil {
		return nil, err
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag := b.tag(f)
		if tag.skip {
			continue
		}
		if err := keepable(f, tag, path); err != nil {
			return nil, err
		}
		if tag.opaque {
			continue
		}
		c, err := b.via(f.Type, path+"."+f.Name)
		if err != nil {
			return nil, err
		}
		if c != nil {
			fields = append(fields, field{i, "." + f.Name, c})
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return func(v reflect.Value, depth int) *fault {
		for i := range fields {
			f := &fields[i]
			if bad := f.check(v.Field(f.index), depth); bad != nil {
				return bad.under(f.name)
			}
		}
		return nil
	}, nil
}

// keepable refuses fields that a codec would silently leave out.
func keepable(f reflect.StructField, tag fieldTag, path string) error {
	if f.IsExported() {
		return nil
	}
	inner := f.Type
	if inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	switch {
	case !f.Anonymous || inner.Kind() != reflect.Struct:
		return &TypeError{path + "." + f.Name, f.Type, `an unexported field is not encoded; export it, tag it "-", or give the type its own marshalling`}
	case f.Type.Kind() == reflect.Pointer:
		return &TypeError{path + "." + f.Name, f.Type, "an embedded pointer to an unexported struct cannot be decoded"}
	case tag.name != "":
		return &TypeError{path + "." + f.Name, f.Type, "an embedded unexported struct with a name of its own is not encoded"}
	}
	return nil
}

// distinctNames refuses a struct two of whose fields, those of embedded
// structs among them, have one name: only one of them would be kept, or none.
func (b *builder) distinctNames(t reflect.Type, path string) error {
	seen := map[string]string{}
	var walk func(t reflect.Type, path string, within []reflect.Type) error
	walk = func(t reflect.Type, path string, within []reflect.Type) error {
		for _, outer := range within {
			if outer == t {
				return &TypeError{path, t, "it embeds itself"}
			}
		}
		for i := range t.NumField() {
			f := t.Field(i)
			tag := b.tag(f)
			if tag.skip || tag.opaque {
				continue
			}
			if inner, ok := b.embedded(f, tag); ok {
				if err := walk(inner, path+"."+f.Name, append(within, t)); err != nil {
					return err
				}
				continue
			}
			name := tag.name
			if name == "" {
				name = f.Name
			}
			if other, ok := seen[name]; ok {
				return &TypeError{path + "." + f.Name, f.Type, "it has the name of " + other + ", and one hides the other"}
			}
			seen[name] = path + "." + f.Name
		}
		return nil
	}
	return walk(t, path, nil)
}

// embedded returns the struct whose fields f puts into the one around it.
func (b *builder) embedded(f reflect.StructField, tag fieldTag) (reflect.Type, bool) {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !f.Anonymous || tag.name != "" || t.Kind() != reflect.Struct {
		return nil, false
	}
	if writes, reads := b.rules.Own(t); writes || reads {
		return nil, false
	}
	return t, true
}

// fieldTag is what a field's struct tag says.
type fieldTag struct {
	name   string // "" if none is given
	skip   bool   // it is left out
	opaque bool   // it has a meaning of its own that is not looked into
}

func (b *builder) tag(f reflect.StructField) fieldTag {
	if f.Name == "_" {
		return fieldTag{skip: true}
	}
	for _, key := range b.rules.Tags {
		value, ok := f.Tag.Lookup(key)
		if !ok {
			continue
		}
		if value == "-" {
			return fieldTag{skip: true}
		}
		name, options, _ := strings.Cut(value, ",")
		tag := fieldTag{name: strings.Trim(name, "'")}
		for o := range strings.SplitSeq(options, ",") {
			switch o {
			case "inline", "embed", "unknown":
				tag.opaque = true
			}
		}
		return tag
	}
	return fieldTag{}
}
