package annals

import (
	"reflect"
	"unsafe"
)

// cloner returns a function that copies a state so deep that nothing done to
// the copy shows in the original: the state's own Clone() *S if it has one,
// else a copy of everything reachable. It returns nil for a type that holds
// what cannot be copied (functions, channels, locks); its states are not cached.
func cloner[S any]() func(*S) *S {
	if _, ok := any(new(S)).(interface{ Clone() *S }); ok {
		return func(s *S) *S { return any(s).(interface{ Clone() *S }).Clone() }
	}
	t := reflect.TypeFor[S]()
	switch flat, ok := cloneable(t, map[reflect.Type]bool{}); {
	case !ok:
		return nil
	case flat:
		return func(s *S) *S { c := *s; return &c }
	}
	return func(s *S) *S {
		c := new(S)
		(&copier{}).copy(reflect.ValueOf(c).Elem(), reflect.ValueOf(s).Elem())
		return c
	}
}

// entityType is shared by copies: each is bound anew before it is handed out.
var entityType = reflect.TypeFor[Entity]()

// immutable are types whose pointers lead to what nobody changes.
var immutable = map[string]bool{"time.Time": true, "time.Location": true, "reflect.Value": true}

// cloneable reports whether values of t can be copied, and whether assigning
// one is already a full copy.
func cloneable(t reflect.Type, seen map[reflect.Type]bool) (flat, ok bool) {
	if t == entityType || immutable[t.String()] {
		return true, true
	}
	if t.PkgPath() == "sync" || t.PkgPath() == "sync/atomic" {
		return false, false
	}
	if seen[t] {
		return false, true
	}
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false, false
	case reflect.Interface:
		return false, false // its dynamic type is not known beforehand
	case reflect.Pointer, reflect.Slice:
		seen[t] = true
		_, ok = cloneable(t.Elem(), seen)
		return false, ok
	case reflect.Map:
		seen[t] = true
		flatKey, okKey := cloneable(t.Key(), seen)
		_, ok = cloneable(t.Elem(), seen)
		return false, ok && okKey && flatKey
	case reflect.Array:
		return cloneable(t.Elem(), seen)
	case reflect.Struct:
		flat = true
		for i := range t.NumField() {
			f, k := cloneable(t.Field(i).Type, seen)
			if !k {
				return false, false
			}
			flat = flat && f
		}
		return flat, true
	}
	return true, true
}

// copier copies one state. What two pointers, maps or equal slices share in
// the original they share in the copy.
type copier struct{ seen map[seenKey]reflect.Value }

type seenKey struct {
	at  unsafe.Pointer
	len int
	typ reflect.Type
}

func (c *copier) copy(dst, src reflect.Value) {
	t := src.Type()
	if t == entityType || immutable[t.String()] {
		dst.Set(src)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		dst.Set(src)
		for i := range t.NumField() {
			if flat, _ := cloneable(t.Field(i).Type, map[reflect.Type]bool{}); flat {
				continue
			}
			c.copy(open(dst.Field(i)), open(src.Field(i)))
		}
	case reflect.Array:
		for i := range t.Len() {
			c.copy(dst.Index(i), src.Index(i))
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if src.IsNil() {
			dst.SetZero()
			return
		}
		key := seenKey{src.UnsafePointer(), 0, t}
		if t.Kind() == reflect.Slice {
			key.len = src.Len()
		}
		if known, ok := c.seen[key]; ok {
			dst.Set(known)
			return
		}
		c.copyReference(dst, src, key)
	default:
		dst.Set(src)
	}
}

func (c *copier) copyReference(dst, src reflect.Value, key seenKey) {
	t := src.Type()
	if c.seen == nil {
		c.seen = map[seenKey]reflect.Value{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(t.Elem())
		c.seen[key] = fresh
		c.copy(fresh.Elem(), src.Elem())
		dst.Set(fresh)
	case reflect.Slice:
		fresh := reflect.MakeSlice(t, src.Len(), src.Len())
		c.seen[key] = fresh
		if flat, _ := cloneable(t.Elem(), map[reflect.Type]bool{}); flat {
			reflect.Copy(fresh, src)
		} else {
			for i := range src.Len() {
				c.copy(fresh.Index(i), src.Index(i))
			}
		}
		dst.Set(fresh)
	case reflect.Map:
		fresh := reflect.MakeMapWithSize(t, src.Len())
		c.seen[key] = fresh
		for it := src.MapRange(); it.Next(); {
			v := reflect.New(t.Elem()).Elem()
			value := reflect.New(t.Elem()).Elem()
			value.Set(it.Value())
			c.copy(v, value)
			fresh.SetMapIndex(it.Key(), v)
		}
		dst.Set(fresh)
	}
}

// open makes a field that is not exported readable and settable.
func open(f reflect.Value) reflect.Value {
	if f.CanSet() {
		return f
	}
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}
