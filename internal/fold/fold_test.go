package fold_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/fold"
)

// records yields one record of stream item-1 for each payload.
func records(data ...string) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		for i, d := range data {
			r := driver.Record{
				Event: driver.Event{
					ID: uuid.UUID{15: byte(i + 1)}, Stream: "item-1", Type: "Changed", Data: []byte(d),
					Tags: []string{"room:1"}, Metadata: driver.Metadata{{Key: "actor", Value: "ann"}},
				},
				Position: driver.Position(10 + i), Version: uint64(i + 1), Batch: 10, Time: time.Unix(int64(i), 0),
			}
			if i == 0 {
				r.Conditions = []driver.Condition{driver.StreamAbsent("item-1")}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func state(t *testing.T, f *fold.Fold, data ...string) string {
	t.Helper()
	s, _, err := f.Over(context.Background(), records(data...))
	if err != nil {
		t.Fatal(err)
	}
	text, err := fold.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func compile(t *testing.T, program string) *fold.Fold {
	t.Helper()
	f, err := fold.Compile(program, &fold.Options{Limit: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ name, program, data, want string }{
		{"begins with {} and goes from state to state", `.n += 1 | .sum += $event.data.q`, `{"q":2} {"q":-5} {"q":4}`, `{"n":3,"sum":1}`},
		{"without events is {}", `.n += 1`, ``, `{}`},
		{"keeps integers exact beyond 64 bits", `.s = (.s // 0) + $event.data * 3 - 1 | .m = .s % 1000`,
			`9007199254740993 123456789012345678901234567890`, `{"m":647,"s":370370367037064058301467926647}`},
		{"moves decimals digit for digit", `.last = $event.data.p`, `{"p":1.10} {"p":100000000000000000000.100}`, `{"last":100000000000000000000.100}`},
		{"sees the whole record", `.e = $event`, `true`, `{"e":{"batch":10,"conditions":[{"absent":true,"stream":"item-1"}],"data":true,` +
			`"id":"00000000-0000-0000-0000-000000000001","metadata":{"actor":"ann"},"position":10,"stream":"item-1","tags":["room:1"],` +
			`"time":"1970-01-01T00:00:00Z","type":"Changed","version":1}}`},
		{"sees a field by any spelling", `.a = $event["type"] | .b = $event.version | .c = ($event | .stream) | .d = "\($event.position)"`, `1`,
			`{"a":"Changed","b":1,"c":"item-1","d":"10"}`},
		{"sees the record under a shorthand", `{$event} | .event.type`, `1`, `"Changed"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := state(t, compile(t, c.program), strings.Fields(c.data)...)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMergeFold(t *testing.T) {
	// The examples of RFC 7386, appendix A, as two events each.
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		if got := state(t, fold.Merge(), c[0], c[1]); got != c[2] {
			t.Errorf("%s then %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestFailure(t *testing.T) {
	for _, c := range []struct{ name, program, part string }{
		{"of the program", `if $event.version == 3 then error("too much") else . end`, "too much"},
		{"by no output", `if $event.version == 3 then empty else . end`, "no output"},
		{"by two outputs", `if $event.version == 3 then ., . else . end`, "more than one"},
		{"by an error after an output", `if $event.version == 3 then ., error("late") else . end`, "late"},
		{"by an endless loop", `if $event.version == 3 then last(range(infinite)) else . end`, "too long"},
		{"by a type", `.x = 1 + if $event.version == 3 then "a" else 1 end`, "cannot add"},
	} {
		t.Run(c.name+" names the event", func(t *testing.T) {
			_, n, err := compile(t, c.program).Over(context.Background(), records("1", "2", "3", "4"))
			var e *fold.Error
			if !errors.As(err, &e) || e.Position != 12 || e.Version != 3 || n > 3 || !strings.Contains(err.Error(), c.part) {
				t.Errorf("got %v after %d", err, n)
			}
		})
	}
	t.Run("by two outputs for the last event is found too", func(t *testing.T) {
		_, _, err := compile(t, `if $event.version == 3 then ., . else . end`).Over(context.Background(), records("1", "2", "3"))
		var e *fold.Error
		if !errors.As(err, &e) || e.Version != 3 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("by the limit can be told", func(t *testing.T) {
		_, _, err := compile(t, `def f: f; f`).Over(context.Background(), records("1"))
		if !errors.Is(err, fold.ErrLimit) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("by a context that ends is the context's", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, _, err := compile(t, `def f: f; f`).Over(ctx, records("1")); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("on data that is not JSON names the event", func(t *testing.T) {
		for _, f := range []*fold.Fold{fold.Merge(), compile(t, "$event.data")} {
			if _, _, err := f.Over(context.Background(), records("1", "{]")); err == nil || !strings.Contains(err.Error(), "position 11") {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("leaves the state as it was", func(t *testing.T) {
		r := compile(t, `if $event.version == 2 then error("no") else .n += 1 end`).Start(context.Background())
		defer r.Close()
		for rec := range records("1", "2") {
			_ = r.Apply(&rec)
		}
		if got := fmt.Sprint(r.State()); got != "map[n:1]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestCompile(t *testing.T) {
	for _, program := range []string{
		"now", "env.HOME", "$ENV.HOME", "input", "[inputs]", "input_line_number", "debug", `"\(now)"`, "{$ENV}", "def f: now; f",
		".a[now]", "localtime", "halt", "{a: now}", `{"\(env)": 1}`, "reduce inputs as $x (0; .)", "if now then 1 else 2 end", "try input catch .",
		`import "a" as a; .`, "(", "$nothing", "nothing", "builtins",
	} {
		if _, err := fold.Compile(program, nil); err == nil {
			t.Errorf("%s was taken", program)
		}
	}
	_, err := fold.Compile(".t = now", nil)
	if err == nil || !strings.Contains(err.Error(), "now") || !strings.Contains(err.Error(), "time of day") {
		t.Errorf("got %v", err)
	}
}

func TestStates(t *testing.T) {
	t.Run("are not changed by later events", func(t *testing.T) {
		for _, f := range []*fold.Fold{fold.Merge(), compile(t, `.a.b += [$event.data.a.b] | .n |= (. // 0) + 1 | .list[$event.version] = 1`)} {
			r := f.Start(context.Background())
			defer r.Close()
			var states []any
			var texts []string
			for rec := range records(`{"a":{"b":1}}`, `{"a":{"b":2}}`, `{"a":{"c":3}}`) {
				if err := r.Apply(&rec); err != nil {
					t.Fatal(err)
				}
				text, _ := fold.Marshal(r.State())
				states, texts = append(states, r.State()), append(texts, string(text))
			}
			for i := range states {
				if text, _ := fold.Marshal(states[i]); string(text) != texts[i] {
					t.Errorf("state %d was %s, is %s", i+1, texts[i], text)
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"é\u00e9\n",true,null,{}]}`, `123456789012345678901234567890`, `-0`, `"\ud83d\ude00"`, `[[[]]]`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := fold.Parse(text)
		var want any
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err != nil {
			return
		}
		if wantErr := d.Decode(&want); wantErr != nil {
			t.Fatalf("%q was read, encoding/json says %v", text, wantErr)
		}
		if !reflect.DeepEqual(numbers(got), want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}

// numbers turns ints into json.Numbers.
func numbers(v any) any {
	switch v := v.(type) {
	case int:
		return json.Number(fmt.Sprint(v))
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"", " ", "{", "[1", `"a`, `{"a"}`, `{"a":}`, "[1,]", "[1 2]", "tru", "01", "1.", "-", "nan", "1 2", "\"\x01\"", "\"\xff\"", `"\x"`, "\x00",
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000)} {
		if v, err := fold.Parse([]byte(bad)); err == nil {
			t.Errorf("%.20q was read as %v", bad, v)
		}
	}
}

func benchmark(b *testing.B, f *fold.Fold) {
	rec := driver.Record{Event: driver.Event{Stream: "product-22197", Type: "StockMoved",
		Data: []byte(`{"invoice":"536365","quantity":6,"price":2.55,"customer":"17850.0","country":"United Kingdom"}`)}, Position: 1, Version: 1}
	b.ReportAllocs()
	r := f.Start(context.Background())
	defer r.Close()
	for b.Loop() {
		if err := r.Apply(&rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) { benchmark(b, fold.Merge()) }
func BenchmarkSum(b *testing.B) {
	f, _ := fold.Compile(".sold += $event.data.quantity", nil)
	benchmark(b, f)
}
func BenchmarkSumAndType(b *testing.B) {
	f, _ := fold.Compile(`if $event.type == "StockMoved" then .sold += $event.data.quantity | .n += 1 | .country[$event.data.country] += 1 else . end`, nil)
	benchmark(b, f)
}
