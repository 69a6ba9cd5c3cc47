package codec

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

type line struct {
	SKU   string
	Count int
	Price float64
}

type ordered struct {
	Order  string `json:"order"`
	Lines  []line `json:"lines,omitempty"`
	Labels map[string]string
	Prices map[int]*float64
	Placed time.Time
	Due    *time.Time
	Wait   time.Duration
	Total  *big.Int
	Extra  json.RawMessage
	Exact  json.Number
	Hash   [4]byte
	Bytes  []byte
	Big    uint64
	Small  int64
	Flag   bool `json:",string"`
}

func sampleOrder() ordered {
	price := 0.1
	due := time.Date(2026, 7, 2, 0, 0, 0, 1, time.FixedZone("", 2*3600))
	return ordered{
		Order: "o-1 <é\u2028>", Lines: []line{{"laptop", 1, 1299.5}}, Labels: map[string]string{"b": "2", "a": "1"}, Prices: map[int]*float64{-1: &price, 3: nil},
		Placed: time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC), Due: &due, Wait: 90 * time.Second, Total: new(big.Int).Lsh(big.NewInt(1), 90),
		Extra: json.RawMessage(`{"a":[1,2.50]}`), Exact: "12345678901234567890.10", Hash: [4]byte{1, 2, 3, 4}, Bytes: []byte{0, 255}, Big: math.MaxUint64, Small: math.MinInt64, Flag: true,
	}
}

func TestJSON(t *testing.T) {
	t.Run("an event comes back as it was", func(t *testing.T) {
		v := sampleOrder()
		data, err := JSON.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"order":"o-1 <é` + "\u2028" + `>","lines":[{"SKU":"laptop","Count":1,"Price":1299.5}],"Labels":{"a":"1","b":"2"},"Prices":{"-1":0.1,"3":null},` +
			`"Placed":"2026-07-01T12:00:00.123456789Z","Due":"2026-07-02T00:00:00.000000001+02:00","Wait":90000000000,"Total":1237940039285380274899124224,` +
			`"Extra":{"a":[1,2.50]},"Exact":12345678901234567890.10,"Hash":"AQIDBA==","Bytes":"AP8=","Big":18446744073709551615,"Small":-9223372036854775808,"Flag":"true"}`
		if string(data) != want {
			t.Errorf("encoded\n%s\nwant\n%s", data, want)
		}
		var back ordered
		if err := JSON.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if !back.Due.Equal(*v.Due) {
			t.Errorf("Due came back as %v", back.Due)
		}
		back.Due = v.Due // equal, in a zone of another name
		if !reflect.DeepEqual(v, back) {
			t.Errorf("came back as %+v", back)
		}
	})
	t.Run("nil and empty come back as they were", func(t *testing.T) {
		type event struct {
			S []int
			M map[string]int
			B []byte
		}
		for _, v := range []event{{}, {[]int{}, map[string]int{}, []byte{}}} {
			data, _ := JSON.Marshal(v)
			var back event
			if err := JSON.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(v, back) {
				t.Errorf("%s came back as %#v, %v", data, back, err)
			}
		}
	})
	t.Run("omitempty leaves out what is zero, and no pointer that is not nil", func(t *testing.T) {
		type event struct {
			N int     `json:",omitempty"`
			S *string `json:",omitempty"`
			Z *int    `json:",omitempty"`
		}
		v := event{S: ptr(""), Z: ptr(0)}
		data, err := JSON.Marshal(v)
		if err != nil || string(data) != `{"S":"","Z":0}` {
			t.Errorf("encoded %s, %v", data, err)
		}
		var back event
		if err := JSON.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(v, back) {
			t.Errorf("came back as %+v, %v", back, err)
		}
	})
	t.Run("maps are written in order", func(t *testing.T) {
		m := map[string]int{}
		for i := range 100 {
			m[string(rune('a'+i%26))+string(rune('a'+i/26))] = i
		}
		first, _ := JSON.Marshal(m)
		for range 20 {
			if again, _ := JSON.Marshal(m); string(again) != string(first) {
				t.Fatal("the same map was written in two ways")
			}
		}
	})
	t.Run("names match whatever their case, exact ones first", func(t *testing.T) {
		var v struct{ ID, Id int }
		if err := JSON.Unmarshal([]byte(`{"Id":1,"ID":2}`), &v); err != nil || v.ID != 2 || v.Id != 1 {
			t.Errorf("%+v, %v", v, err)
		}
		var l line
		if err := JSON.Unmarshal([]byte(`{"sku":"x","count":2}`), &l); err != nil || l.SKU != "x" || l.Count != 2 {
			t.Errorf("%+v, %v", l, err)
		}
	})
	t.Run("damaged or ambiguous input is an error", func(t *testing.T) {
		for _, in := range []string{
			`{"SKU":"a","SKU":"b"}`, `{"SKU":"a","sku":"b"}`, "{\"SKU\":\"\xff\"}", `{"SKU":"\ud800"}`, `{"Count":1.5}`, `{"Count":9223372036854775808}`,
			`{"SKU":1}`, `{"Price":1e400}`, `{} x`, `{"SKU":"a",}`, ``, `[]`, `{"SKU":`,
		} {
			var l line
			if err := JSON.Unmarshal([]byte(in), &l); err == nil {
				t.Errorf("%q was decoded as %+v", in, l)
			}
		}
	})
}

type shout string

func (s shout) MarshalJSON() ([]byte, error) { return json.Marshal(strings.ToUpper(string(s))) }

type money struct{ cents int64 }

func (m money) MarshalText() ([]byte, error)  { return big.NewInt(m.cents).MarshalText() }
func (m *money) UnmarshalText(b []byte) error { return json.Unmarshal(b, &m.cents) }

type stamped struct {
	time.Time
	Note string
}

type onlyStamp struct{ time.Time }

type treeNode struct {
	Name string
	Kids []*treeNode
}

type twins struct {
	A int `json:"B"`
	B int
}

type base struct{ A string }
type hides struct {
	base
	A int
}
type selfish struct {
	*Selfish
	N int
}
type Selfish = selfish

func TestCheckerRefusesTypes(t *testing.T) {
	for _, c := range []struct {
		name, path string
		event      any
	}{
		{"a channel", "struct { C chan int }.C", struct{ C chan int }{}},
		{"a function, deep inside", "struct { L []struct { M map[string]func() } }.L[].M[]", struct {
			L []struct{ M map[string]func() }
		}{}},
		{"an interface", "struct { V interface {} }.V", struct{ V any }{}},
		{"an error", "struct { E error }.E", struct{ E error }{}},
		{"a complex number", "struct { Z complex128 }.Z", struct{ Z complex128 }{}},
		{"an unexported field", "struct { N int; note string }.note", struct {
			N    int
			note string
		}{}},
		{"a map with struct keys", "struct { M map[codec.line]int }.M", struct{ M map[line]int }{}},
		{"a map with float keys", "struct { M map[float64]int }.M", struct{ M map[float64]int }{}},
		{"a form that is written and not read", "struct { S codec.shout }.S", struct{ S shout }{}},
		{"a field hidden by an embedded type's own form", "stamped.Note", stamped{}},
		{"two fields of one name", "twins.B", twins{}},
		{"an embedded field that is hidden", "hides.A", hides{}},
		{"an embedded pointer to itself", "selfish.Selfish", selfish{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewChecker(reflect.TypeOf(c.event), JSON)
			var te *TypeError
			if !errors.As(err, &te) || te.Path != c.path {
				t.Fatalf("got %v, want a TypeError at %s", err, c.path)
			}
		})
	}
}

func TestCheckerAllowsTypes(t *testing.T) {
	for _, v := range []any{sampleOrder(), onlyStamp{}, treeNode{}, struct{ M money }{}, struct{ M map[money]int }{}, "text", 7, []line{}, map[string][]int{}, struct {
		N int
		_ int
		x int `json:"-"`
	}{}, struct{ base }{}, struct{}{}} {
		if _, err := NewChecker(reflect.TypeOf(v), JSON); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

func TestCheckerRefusesValues(t *testing.T) {
	cyclic := &treeNode{Name: "a"}
	cyclic.Kids = []*treeNode{cyclic}
	var null *int
	for _, c := range []struct {
		name, path string
		event      any
	}{
		{"NaN", "ordered.Lines[1].Price", ordered{Exact: "1", Lines: []line{{}, {Price: math.NaN()}}}},
		{"infinity behind a pointer in a map", `ordered.Prices["3"]`, ordered{Exact: "1", Prices: map[int]*float64{3: ptr(math.Inf(-1))}}},
		{"invalid UTF-8", "line.SKU", line{SKU: "a\xff"}},
		{"NUL", "line.SKU", &line{SKU: "a\x00b"}},
		{"an invalid key", `ordered.Labels["\xff"]`, ordered{Exact: "1", Labels: map[string]string{"\xff": ""}}},
		{"a time beyond year 9999", "ordered.Placed", ordered{Exact: "1", Placed: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"an offset with seconds", "ordered.Due", ordered{Exact: "1", Due: ptr(time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 61)))}},
		{"invalid raw JSON", "ordered.Extra", ordered{Exact: "1", Extra: json.RawMessage(`{"a":1,"a":2}`)}},
		{"empty raw JSON", "ordered.Extra", ordered{Exact: "1", Extra: json.RawMessage{}}},
		{"an empty number", "ordered.Exact", ordered{}},
		{"a number that is none", "ordered.Exact", ordered{Exact: "true"}},
		{"a pointer to nil", "struct { P **int }.P", struct{ P **int }{&null}},
		{"a pointer to raw null", "struct { P *json.RawMessage }.P", struct{ P *json.RawMessage }{ptr(json.RawMessage(" null"))}},
		{"a cycle", "treeNode.Kids", cyclic},
		{"nil", "line", (*line)(nil)},
		{"another type", "line", treeNode{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ := reflect.TypeOf(c.event)
			if c.name == "another type" {
				typ = reflect.TypeFor[line]()
			}
			checker, err := NewChecker(typ, JSON)
			if err != nil {
				t.Fatal(err)
			}
			err = checker.Value(c.event)
			var ve *ValueError
			if !errors.As(err, &ve) || !strings.HasPrefix(ve.Path, c.path) || c.name != "a cycle" && ve.Path != c.path {
				t.Fatalf("got %v, want a ValueError at %s", err, c.path)
			}
		})
	}
	t.Run("nothing wrong", func(t *testing.T) {
		checker, _ := NewChecker(reflect.TypeFor[ordered](), JSON)
		if err := checker.Value(sampleOrder()); err != nil {
			t.Error(err)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func BenchmarkChecker(b *testing.B) {
	c, err := NewChecker(reflect.TypeFor[line](), JSON)
	if err != nil {
		b.Fatal(err)
	}
	var v any = &line{SKU: "laptop-15-inch", Count: 3, Price: 1299.5}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Value(v); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	data, _ := JSON.Marshal(sampleOrder())
	f.Add(data)
	f.Add([]byte(`{"order":"a","Labels":{"x":"y"}}`))
	checker, err := NewChecker(reflect.TypeFor[ordered](), JSON)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, back ordered
		if JSON.Unmarshal(data, &v) != nil || checker.Value(v) != nil {
			return
		}
		again, err := JSON.Marshal(v)
		if err != nil {
			t.Fatalf("%q gave %+v, which passes the checker and does not encode: %v", data, v, err)
		}
		if err := JSON.Unmarshal(again, &back); err != nil {
			t.Fatalf("%+v was encoded as %s, which is not decoded: %v", v, again, err)
		}
		if third, err := JSON.Marshal(back); err != nil || string(third) != string(again) {
			t.Fatalf("%s came back as %s, %v", again, third, err)
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	v := line{SKU: "laptop-15-inch", Count: 3, Price: 1299.5}
	data, err := JSON.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			if _, err := JSON.Marshal(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			var back line
			if err := JSON.Unmarshal(data, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}
