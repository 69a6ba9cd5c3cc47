package statediff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/statediff"
)

func parse(t testing.TB, text string) any {
	t.Helper()
	v, err := fold.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func say(changes []statediff.Change) string {
	var out []string
	for _, c := range changes {
		x, _ := statediff.JSON(c.Old)
		y, _ := statediff.JSON(c.New)
		out = append(out, fmt.Sprintf("%s %s %s>%s", c.Kind, c.Path, x, y))
	}
	return strings.Join(out, "; ")
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{`{}`, `{}`, ``},
		{`{"a":1,"b":2,"c":3}`, `{"a":1,"b":5,"d":4}`, `set .b 2>5; removed .c 3>null; added .d null>4`},
		{`{"a":{"b":[1,2]}}`, `{"a":{"b":[1,3,{"c":1}]}}`, `set .a.b[1] 2>3; added .a.b[2] null>{"c":1}`},
		{`[1,2,3]`, `[1]`, `removed .[1] 2>null; removed .[2] 3>null`},
		{`{"a":null}`, `{}`, `removed .a null>null`},
		{`{"a":[]}`, `{"a":{}}`, `set .a []>{}`},
		{`1`, `"1"`, `set . 1>"1"`},
		{`{"n":1.10}`, `{"n":1.1}`, ``},
		{`{"n":1e999}`, `{"n":1e999}`, ``},
		{`{"n":9007199254740993}`, `{"n":9007199254740992}`, `set .n 9007199254740993>9007199254740992`},
		{`{"n":123456789012345678901234567890}`, `{"n":123456789012345678901234567891}`, `set .n 123456789012345678901234567890>123456789012345678901234567891`},
		{`{"n":0}`, `{"n":false}`, `set .n 0>false`},
		{`{"odd name":1,"é":1}`, `{"odd name":2,"é":2}`, `set .["odd name"] 1>2; set .["é"] 1>2`},
	} {
		if got := say(statediff.Diff(parse(t, c.a), parse(t, c.b))); got != c.want {
			t.Errorf("%s, %s: got %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	for text, want := range map[string]statediff.Path{
		".": {}, "": {}, ".a": {"a"}, "a.b": {"a", "b"}, ".lines[2].price": {"lines", 2, "price"}, "[3]": {3}, ".[3]": {3},
		`.["odd name"]`: {"odd name"}, `."odd name".x`: {"odd name", "x"}, `a["x]y"][0]`: {"a", "x]y", 0}, `.["é\n\"\\"]`: {"é\n\"\\"},
		`.[""]`: {""},
	} {
		got, err := statediff.ParsePath(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %#v, %v", text, got, err)
		}
		if again, err := statediff.ParsePath(got.String()); err != nil || !slices.Equal(again, want) {
			t.Errorf("%q is written %q, which is %#v, %v", text, got, again, err)
		}
	}
	for _, bad := range []string{"..", ".a.", ".a..b", ".[", ".[x]", ".[-1]", `.["a`, `.["a"`, `.["a"x`, ".a]", `."a`, `.["\x"]`, "[99999999999999999999]"} {
		if p, err := statediff.ParsePath(bad); bad != ".a]" && err == nil {
			t.Errorf("%q was read as %#v", bad, p)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{".a.b[2]", `.["x y"]`, `."q".r`, "[0][1]", ".a]", "a\\b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := statediff.ParsePath(text)
		if err != nil {
			return
		}
		again, err := statediff.ParsePath(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is written %q, which is %q, %v", text, p, again, err)
		}
	})
}

// Thing has a field of every shape that matters.
type Thing struct {
	Plain
	Name     string             `json:"name"`
	Count    int                `json:",omitempty"`
	Zero     int                `json:"zero,omitzero"`
	Few      uint8              `json:"few"`
	Share    float64            `json:"share"`
	On       bool               `json:"on"`
	When     time.Time          `json:"when"`
	Raw      json.RawMessage    `json:"raw"`
	Bytes    []byte             `json:"bytes"`
	List     []Part             `json:"list,omitempty"`
	Numbers  [3]int             `json:"numbers"`
	Parts    map[string]Part    `json:"parts"`
	ByNumber map[int]*Part      `json:"byNumber"`
	One      *Part              `json:"one"`
	Any      any                `json:"any"`
	Deep     map[string][]*Part `json:"deep"`
	Hidden   int                `json:"-"`
}

type Plain struct{ Inner, Other string }

type Part struct {
	Text string `json:"text,omitempty"`
	N    int    `json:"n"`
}

func random(r *rand.Rand) *Thing {
	text := func() string { return []string{"", "a", "é\"", "b c"}[r.IntN(4)] }
	part := func() Part { return Part{text(), r.IntN(3)} }
	th := &Thing{Plain: Plain{text(), text()}, Name: text(), Count: r.IntN(3), Zero: r.IntN(3), Few: uint8(r.IntN(3)), Share: float64(r.IntN(3)) / 4,
		On: r.IntN(2) == 0, When: time.Unix(int64(r.IntN(2)), 0).UTC(), Raw: json.RawMessage(fmt.Sprintf(`{"x":%d}`, r.IntN(2))),
		Bytes: []byte(text() + "x"), Numbers: [3]int{r.IntN(2), 1, r.IntN(2)}, Parts: map[string]Part{}, ByNumber: map[int]*Part{},
		Deep: map[string][]*Part{}, Any: []any{"x", "y"}[r.IntN(2)], List: []Part{}}
	for range r.IntN(4) {
		th.List = append(th.List, part())
		th.Parts[text()] = part()
		p := part()
		th.ByNumber[r.IntN(3)] = &p
		th.Deep[text()] = append([]*Part{}, &p)
	}
	if r.IntN(2) == 0 {
		p := part()
		th.One = &p
	}
	return th
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// sorted brings changes into the order of their paths.
func sorted(changes []statediff.Change) string {
	slices.SortFunc(changes, func(a, b statediff.Change) int { return strings.Compare(a.Path.String(), b.Path.String()) })
	return say(changes)
}

func TestGoValuesDifferAsTheirJSONDoes(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		a, b := random(r), random(r)
		if r.IntN(4) == 0 {
			b = a
		}
		got := sorted(statediff.DiffGo(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()))
		want := sorted(statediff.Diff(without(asJSON(t, a)), without(asJSON(t, b))))
		if !sameButWhole(got, want) {
			t.Fatalf("seed %d:\ngot  %s\nwant %s", seed, got, want)
		}
	}
}

// TestFollowKeepsACopy follows a value through random changes, small and large.
func TestFollowKeepsACopy(t *testing.T) {
	type state struct {
		Thing
		Counts map[string]int
		Names  map[string]string
		Plain  map[int]Part
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 6))
		fresh := func() *state {
			s := &state{Thing: *random(r), Counts: map[string]int{}, Names: map[string]string{}, Plain: map[int]Part{}}
			for range r.IntN(5) {
				s.Counts[fmt.Sprint(r.IntN(4))], s.Names[fmt.Sprint(r.IntN(4))], s.Plain[r.IntN(4)] = r.IntN(3), fmt.Sprint(r.IntN(3)), Part{"x", r.IntN(3)}
			}
			return s
		}
		now := fresh()
		follower := clone(t, now)
		exact := 0
		for step := range 40 {
			switch r.IntN(8) {
			case 0:
				now = fresh()
			case 1:
				delete(now.Counts, fmt.Sprint(r.IntN(4)))
				now.Plain[r.IntN(4)] = Part{"y", r.IntN(3)}
			case 2:
				now.Name, now.Count, now.On = fmt.Sprint(r.IntN(9)), r.IntN(3), !now.On
			case 3:
				delete(now.Plain, r.IntN(4))
				now.Names[fmt.Sprint(r.IntN(4))] = fmt.Sprint(r.IntN(3))
			case 4:
				now.Parts[fmt.Sprint(r.IntN(3))] = Part{fmt.Sprint(r.IntN(3)), step}
			case 5:
				for _, p := range now.ByNumber {
					p.N++
				}
			default:
				now.Counts[fmt.Sprint(r.IntN(4))]++
			}
			want := statediff.DiffGo(reflect.ValueOf(follower).Elem(), reflect.ValueOf(now).Elem())
			got, copied := statediff.Follow(reflect.ValueOf(follower).Elem(), reflect.ValueOf(now).Elem())
			if len(got) != len(want) {
				t.Fatalf("seed %d, step %d: %d changes, want %d", seed, step, len(got), len(want))
			}
			for i := range got {
				if got[i].Path.String() != want[i].Path.String() || got[i].Kind != want[i].Kind {
					t.Fatalf("seed %d, step %d: got %s %s, want %s %s", seed, step, got[i].Kind, got[i].Path, want[i].Kind, want[i].Path)
				}
			}
			if !copied {
				follower = clone(t, now)
				continue
			}
			exact++
			if left := statediff.DiffGo(reflect.ValueOf(follower).Elem(), reflect.ValueOf(now).Elem()); len(left) > 0 {
				t.Fatalf("seed %d, step %d: after following, %s", seed, step, say(left))
			}
		}
		if exact == 0 {
			t.Errorf("seed %d: nothing was followed", seed)
		}
	}
}

func clone[T any](t *testing.T, v *T) *T {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// without leaves raw out, which the Go side takes as one value.
func without(v any) any {
	delete(v.(map[string]any), "raw")
	return v
}

func sameButWhole(got, want string) bool {
	parts := slices.DeleteFunc(strings.Split(got, "; "), func(s string) bool { return strings.HasPrefix(s, "set .raw ") })
	return strings.Join(parts, "; ") == want
}

// TestPatchTakesOneStateToAnother sets what Diff found, in the order undo does.
func TestPatchTakesOneStateToAnother(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 4))
		a, b := random(r), random(r)
		changes := statediff.DiffGo(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
		var ordered []statediff.Change
		for i := len(changes) - 1; i >= 0; i-- { // elements leave a list from its end
			if changes[i].Kind == statediff.Removed {
				ordered = append(ordered, changes[i])
			}
		}
		for _, c := range changes {
			if c.Kind != statediff.Removed {
				ordered = append(ordered, c)
			}
		}
		for _, c := range ordered {
			var value json.RawMessage
			if c.Kind != statediff.Removed {
				var err error
				if value, err = statediff.JSON(c.New); err != nil {
					t.Fatal(err)
				}
			}
			if err := statediff.Patch(reflect.ValueOf(a).Elem(), c.Path, value); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, c.Path, err)
			}
		}
		if got, want := say(statediff.Diff(asJSON(t, a), asJSON(t, b))), ""; got != want {
			t.Fatalf("seed %d: after the patch they differ: %s", seed, got)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add(".list[0].n", "3")
	f.Add(".parts.a", `{"n":1}`)
	f.Add(".byNumber[\"x\"]", "1")
	f.Add(".one.text", "null")
	f.Fuzz(func(t *testing.T, path, value string) {
		p, err := statediff.ParsePath(path)
		if err != nil {
			return
		}
		var raw json.RawMessage
		if value != "" {
			raw = json.RawMessage(value)
		}
		_ = statediff.Patch(reflect.ValueOf(random(rand.New(rand.NewPCG(1, 1)))).Elem(), p, raw) // must not panic
	})
}

func TestLeaves(t *testing.T) {
	var got []string
	statediff.Leaves(nil, parse(t, `{"b":{"c":1,"d":[]},"a":[{"x":null},2],"e":{}}`), func(p statediff.Path, v any) {
		text, _ := statediff.JSON(v)
		got = append(got, p.String()+"="+string(text))
	})
	if want := ".a[0].x=null .a[1]=2 .b.c=1 .b.d=[] .e={}"; strings.Join(got, " ") != want {
		t.Errorf("got %s", got)
	}
}
