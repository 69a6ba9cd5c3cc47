package jsonlibs

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// Upper is a type with its own text form.
type Upper struct{ s string }

func (u Upper) MarshalText() ([]byte, error)  { return []byte("U" + u.s), nil }
func (u *Upper) UnmarshalText(b []byte) error { u.s = string(b[1:]); return nil }

// Own is a type with its own JSON form.
type Own struct{ n int }

func (o Own) MarshalJSON() ([]byte, error) { return json.Marshal([]int{o.n}) }
func (o *Own) UnmarshalJSON(b []byte) error {
	var a [1]int
	err := json.Unmarshal(b, &a)
	o.n = a[0]
	return err
}

type Base struct{ A, B int }

type tree struct {
	Name string
	Kids []*tree `json:",omitempty"`
}

type full struct {
	Base
	I8           int8
	I64          int64
	U64          uint64
	F32          float32
	F64          float64
	S            string
	Dur          time.Duration
	T            time.Time
	Raw          json.RawMessage
	Num          json.Number
	Big          *big.Int
	Addr         netip.Addr
	By           []byte
	Arr          [3]byte
	NilS, EmptyS []int
	NilM, EmptyM map[string]int
	IntM         map[int]string
	Tm           map[Upper]int
	U            Upper
	Pu           *Upper
	O            Own
	Po           *Own
	Str          int64     `json:",string"`
	Om           string    `json:"om,omitempty"`
	Oz           time.Time `json:"oz,omitzero"`
	PP           **int
	Tree         *tree
	Skip         int `json:"-"`
	Any          []string
	St           struct{ X, Y float64 }
}

// TestRoundTrip tells what each library loses. Only what is lost by the one
// that was chosen fails the test.
func TestRoundTrip(t *testing.T) {
	i := 7
	pi := &i
	v := full{Base: Base{1, 2}, I8: -128, I64: math.MinInt64, U64: math.MaxUint64, F32: math.MaxFloat32, F64: math.SmallestNonzeroFloat64,
		S: "a\u2028<b>&\"\\\n\x01é😀\x7f", Dur: 1<<62 + 1, T: placed, Raw: json.RawMessage(`{"z":1,"a":[1.50,1e400]}`), Num: "12345678901234567890.10",
		Big: new(big.Int).Lsh(big.NewInt(1), 100), Addr: netip.MustParseAddr("fe80::1%eth0"), By: []byte{0, 255, 1}, Arr: [3]byte{1, 2, 3},
		EmptyS: []int{}, EmptyM: map[string]int{}, IntM: map[int]string{-1: "a", 10: "b", 9: "c"}, Tm: map[Upper]int{{"x"}: 1, {"a"}: 2},
		U: Upper{"q"}, Pu: &Upper{"r"}, O: Own{4}, Po: &Own{5}, Str: math.MaxInt64, PP: &pi,
		Tree: &tree{"a", []*tree{{"b", nil}, {"c", []*tree{{"d", nil}}}}}, Any: []string{"", "x"}}
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			found := t.Logf
			if l.name == chosen {
				found = t.Errorf
			}
			data, err := l.marshal(&v)
			if err != nil {
				found("%v", err)
				return
			}
			if !json.Valid(data) {
				found("invalid JSON: %s", data)
			}
			again, _ := l.marshal(&v)
			if string(again) != string(data) {
				found("not deterministic")
			}
			var got full
			if err := l.unmarshal(data, &got); err != nil {
				found("%v: %s", err, data)
				return
			}
			a, b := reflect.ValueOf(v), reflect.ValueOf(got)
			for i := range a.NumField() {
				if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
					found("%s: %#v came back as %#v", a.Type().Field(i).Name, a.Field(i), b.Field(i))
				}
			}
		})
	}
}

// TestStrictness tells what each library accepts of damaged or ambiguous input.
// The one that was chosen must refuse it all.
func TestStrictness(t *testing.T) {
	type target struct {
		A   int8
		B   string
		C   []int
		D   map[string]int
		E   uint64
		F   float64
		Raw json.RawMessage
		T   time.Time
	}
	for _, in := range []string{
		`{"A":1,"A":2}`, "{\"B\":\"\xff\"}", `{"A":300}`, `{"A":1.5}`, `{"A":1e1}`, `{"E":-1}`, `{"E":18446744073709551616}`, `{"B":"\ud800"}`, `{"A":1,}`, `{"A":01}`, `{"A":1}x`, `{"A":1} {}`, `{"B":"a` + "\n" + `b"}`,
		`{"C":[1,]}`, `{"C":[1 2]}`, `{"D":{"a":1,"a":2}}`, `{"x":tru}`, `{"x":{"y":[}}`, `{"F":1e400}`, `{"F":.5}`, `{"F":+1}`, `{"F":-}`, `{"F":NaN}`, `{"Raw":{"a":}}`, `{"B":"\x"}`, `{"B":"\u12"}`, `{"A":"1"}`, `{"T":"2026-01-01"}`, `{"x":01}`, `{"x":"\q"}`, `{"x":1 "y":2}`, `{"A" 1}`, `{`, ``, `{"B":"`, `[]`, "\xef\xbb\xbf{}",
	} {
		var accepts string
		for _, l := range libraries() {
			func() {
				defer func() {
					if p := recover(); p != nil {
						accepts += " " + l.name + "(PANIC)"
					}
				}()
				var v target
				if l.unmarshal([]byte(in), &v) == nil {
					accepts += " " + l.name
					if l.name == chosen {
						t.Errorf("%q is accepted", in)
					}
				}
			}()
		}
		t.Logf("%-28q accepted by%s", in, accepts)
	}
}
