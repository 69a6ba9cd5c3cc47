package codec_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/cbor"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the random types and values")
	types = flag.Int("types", 400, "how many random types to try")
)

// level has a text form of its own.
type level struct{ n int }

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "level %d", l.n), nil }
func (l *level) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "level %d", &l.n)
	return err
}

// TestWhatTheCheckerPassesComesBack makes random struct types and values. A
// value that passes its checker must come back equal through the codec; one
// that does not pass must be one of those the test knows to be refused.
func TestWhatTheCheckerPassesComesBack(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, cbor.Codec} {
		t.Run("as "+c.Name(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(*seed, 0))
			passed, refused := 0, 0
			for range *types {
				typ := randomStruct(r, 3)
				checker, err := codec.NewChecker(typ, c)
				if err != nil {
					t.Fatalf("seed %d: %s: %v", *seed, typ, err)
				}
				for range 5 {
					v := reflect.New(typ)
					randomValue(r, v.Elem())
					if err := checker.Value(v.Interface()); err != nil {
						var ve *codec.ValueError
						if !errors.As(err, &ve) || ve.Reason != "a pointer to nil comes back as nil" {
							t.Fatalf("seed %d: %+v: %v", *seed, v, err)
						}
						refused++
						continue
					}
					passed++
					comesBack(t, c, v)
				}
			}
			if passed < 2*refused || refused == 0 {
				t.Errorf("%d values passed and %d were refused: the test tests little", passed, refused)
			}
		})
	}
}

func comesBack(t *testing.T, c codec.Codec, v reflect.Value) {
	t.Helper()
	data, err := c.Marshal(v.Interface())
	if err != nil {
		t.Fatalf("seed %d: %s passed and is not encoded: %v", *seed, v.Type(), err)
	}
	back := reflect.New(v.Type().Elem())
	if err := c.Unmarshal(data, back.Interface()); err != nil {
		t.Fatalf("seed %d: %q is not decoded: %v", *seed, data, err)
	}
	if !reflect.DeepEqual(v.Interface(), back.Interface()) {
		t.Fatalf("seed %d: %+v\ncame back as\n%+v\nfrom %q", *seed, v, back, data)
	}
}

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[time.Duration](), reflect.TypeFor[level](), reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[[3]byte](),
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
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[uint8](), reflect.TypeFor[level]()}
		return reflect.MapOf(keys[r.IntN(len(keys))], randomType(r, depth-1))
	}
	return randomStruct(r, depth-1)
}

func randomStruct(r *rand.Rand, depth int) reflect.Type {
	fields := make([]reflect.StructField, 1+r.IntN(5))
	for i := range fields {
		f := reflect.StructField{Name: fmt.Sprintf("F%c", 'a'+i), Type: randomType(r, depth)}
		switch r.IntN(6) {
		case 0:
			f.Tag = reflect.StructTag(fmt.Sprintf(`json:"%s%d"`, []string{"x", "lower-case", "ünï", "a b"}[r.IntN(4)], i))
		case 1:
			f.Tag = `json:",omitzero"`
		case 2:
			switch f.Type.Kind() {
			case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.Bool, reflect.String:
				if f.Type != reflect.TypeFor[json.Number]() {
					f.Tag = `json:",string"`
				}
			}
		}
		fields[i] = f
	}
	return reflect.StructOf(fields)
}

func randomValue(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(r.Uint32()), int64(r.IntN(1e9))).UTC()))
		return
	case level:
		v.Set(reflect.ValueOf(level{r.IntN(20)}))
		return
	case json.Number:
		v.SetString([]string{"0", "-1.50", "12345678901234567890123", "1e-7"}[r.IntN(4)])
		return
	case json.RawMessage:
		v.SetBytes([]byte([]string{"null", `{"a":[1,2.50]}`, `"x"`, "[]", "1E5"}[r.IntN(5)]))
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
		v.SetString([]string{"", "plain", "q\"uo\\te", "<&>", "\u2028é😀", "tab\tnl\n\x01\x7f", "\ufffd", "0123456789012345678901234567890123456789"}[r.IntN(8)])
	case reflect.Array:
		for i := range v.Len() {
			randomValue(r, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			randomValue(r, v.Field(i))
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if r.IntN(4) > 0 {
			randomReference(r, v)
		}
	}
}

func randomReference(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		randomValue(r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			randomValue(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			randomValue(r, k)
			randomValue(r, e)
			v.SetMapIndex(k, e)
		}
	}
}
