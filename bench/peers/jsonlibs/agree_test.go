package jsonlibs

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

var seed = flag.Uint64("seed", 1, "seed of the random types and values")
var types = flag.Int("types", 300, "random struct types to try")

// TestAgreement makes random struct types and values, and tells where what a
// library writes and reads back differs from encoding/json. Only the one that
// was chosen fails the test, if it cannot read what it wrote.
func TestAgreement(t *testing.T) {
	t.Logf("seed %d, %d types", *seed, *types)
	bad := map[string]int{}
	example := map[string]string{}
	note := func(lib, what string, args ...any) {
		k := lib + ": " + what
		bad[k]++
		if example[k] == "" {
			example[k] = fmt.Sprint(args...)
			if len(example[k]) > 700 {
				example[k] = example[k][:700]
			}
		}
	}
	r := rand.New(rand.NewPCG(*seed, 0))
	for range *types {
		typ := randomStruct(r, 3)
		for range 5 {
			v := reflect.New(typ)
			fill(r, v.Elem(), 3)
			want, err := json.Marshal(v.Interface())
			if err != nil {
				continue
			}
			back := reflect.New(typ)
			if err := json.Unmarshal(want, back.Interface()); err != nil {
				t.Fatal(err)
			}
			for _, l := range libraries() {
				func() {
					defer func() {
						if p := recover(); p != nil {
							note(l.name, "panics", p, string(want))
						}
					}()
					got, err := l.marshal(v.Interface())
					if err != nil {
						note(l.name, "does not encode", err, typ)
						return
					}
					if !json.Valid(got) || !utf8.Valid(got) {
						note(l.name, "encodes to invalid JSON", string(got))
						return
					}
					if l.name[:4] != "json" && !bytes.Equal(got, want) {
						note(l.name, "encodes otherwise", string(got), "\nnot\n", string(want))
					}
					b := reflect.New(typ)
					if err := l.unmarshal(got, b.Interface()); err != nil {
						note(l.name, "does not decode its own", err, string(got))
						return
					}
					if !reflect.DeepEqual(b.Interface(), back.Interface()) {
						x, _ := json.Marshal(b.Interface())
						note(l.name, "comes back otherwise", string(x), "\nnot\n", string(want), "\nfrom\n", string(got))
					}
				}()
			}
		}
	}
	for k, n := range bad {
		found := t.Logf
		if k == chosen+": panics" || k == chosen+": does not decode its own" || k == chosen+": does not encode" {
			found = t.Errorf
		}
		found("%6d × %s, e.g. %s", n, k, example[k])
	}
}

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](),
	reflect.TypeFor[Upper](), reflect.TypeFor[Own](), reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[[3]byte](),
}

func randomType(r *rand.Rand, depth int) reflect.Type {
	if depth == 0 || r.IntN(3) == 0 {
		return leaves[r.IntN(len(leaves))]
	}
	switch r.IntN(6) {
	case 0:
		return reflect.PointerTo(randomType(r, depth-1))
	case 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(1+r.IntN(2), randomType(r, depth-1))
	case 3:
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[uint8](), reflect.TypeFor[Upper]()}
		return reflect.MapOf(keys[r.IntN(len(keys))], randomType(r, depth-1))
	}
	return randomStruct(r, depth-1)
}

func randomStruct(r *rand.Rand, depth int) reflect.Type {
	fields := make([]reflect.StructField, 1+r.IntN(5))
	for i := range fields {
		name := fmt.Sprintf("F%c", 'a'+i)
		tag := ""
		switch r.IntN(6) {
		case 0:
			tag = `json:",omitempty"`
		case 1:
			tag = `json:"` + []string{"x", "lower-case", "ünï", "a b", "$"}[r.IntN(5)] + fmt.Sprint(i) + `"`
		case 2:
			tag = `json:",omitzero"`
		}
		fields[i] = reflect.StructField{Name: name, Type: randomType(r, depth), Tag: reflect.StructTag(tag)}
		switch fields[i].Type.Kind() {
		case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.Bool:
			if tag == "" && r.IntN(6) == 0 {
				fields[i].Tag = `json:",string"`
			}
		}
	}
	return reflect.StructOf(fields)
}

func fill(r *rand.Rand, v reflect.Value, depth int) {
	if r.IntN(8) == 0 && v.Type() != reflect.TypeFor[json.RawMessage]() && v.Type() != reflect.TypeFor[json.Number]() && v.Type() != reflect.TypeFor[time.Time]() {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(r.Uint32()), int64(r.IntN(1e9))).UTC()))
		return
	case Upper:
		v.Set(reflect.ValueOf(Upper{"k" + fmt.Sprint(r.IntN(20))}))
		return
	case Own:
		v.Set(reflect.ValueOf(Own{r.IntN(99)}))
		return
	case json.Number:
		v.Set(reflect.ValueOf(json.Number([]string{"0", "-1.50", "12345678901234567890123", "1e-7"}[r.IntN(4)])))
		return
	case json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage([]string{"null", `{"a":[1,2.50]}`, `"x"`, "[]", "1E5"}[r.IntN(5)])))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Float32, reflect.Float64:
		f := r.NormFloat64()
		for range r.IntN(3) {
			f *= f * 1000
		}
		v.SetFloat(f)
	case reflect.String:
		s := []string{"", "plain", "q\"uo\\te", "<&>", "\u2028é😀", "tab\tnl\n\x01\x7f", "\ufffd", "0123456789012345678901234567890123456789"}
		v.SetString(s[r.IntN(len(s))])
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, k, 0)
			fill(r, e, depth-1)
			v.SetMapIndex(k, e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), depth-1)
		}
	}
}
