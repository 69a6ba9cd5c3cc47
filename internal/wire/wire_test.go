package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
)

func full() driver.Record {
	return driver.Record{
		Event: driver.Event{
			ID: uuid.MustParse("0198c0de-0000-7000-8000-000000000001"), Stream: "item-läptop \"x\"", Type: "ItemCreated",
			Data: []byte(`{"n": 12345678901234567890, "s":"é\n", "d":1.10}`), Tags: []string{"room:1", "k:a,b"},
			Metadata: driver.NewMetadata(map[string]string{"actor": "ann", "reason": "tab\t"}),
			Occurred: time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC),
		},
		Position: 7, Version: 3, Time: time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC), Batch: 7,
		Conditions: []driver.Condition{
			driver.StreamAt("item-x", 2), driver.StreamAt("item-y", 0), driver.StreamAbsent("a"), driver.StreamPresent("b"),
			driver.NoneAfter(driver.Query{}, 0),
			driver.NoneAfter(driver.Query{Items: []driver.Item{
				{Types: []string{"A", "B"}, Tags: []string{"k:v"}, Streams: []string{"s"}, Category: "c", IDs: []driver.ID{uuid.MustParse("0198c0de-0000-7000-8000-000000000009")}},
				{Category: "d"}, {},
			}}, 6),
		},
	}
}

func TestRecord(t *testing.T) {
	t.Run("reads back as it was written", func(t *testing.T) {
		for _, change := range []func(*driver.Record){
			func(*driver.Record) {},
			func(r *driver.Record) { r.Stream, r.Version = "", 0 },
			func(r *driver.Record) { r.Tags, r.Metadata, r.Conditions = nil, nil, nil; r.Occurred = time.Time{} },
			func(r *driver.Record) { r.Encoding, r.Data = "cbor+zstd", []byte{0, 1, 2, 255} },
			func(r *driver.Record) { r.Data = []byte("{\n}") },
			func(r *driver.Record) { r.Data = []byte(" 1 ") },
			func(r *driver.Record) { r.Data = []byte(`{"a":1,"a":2}`) },
			func(r *driver.Record) { r.Data = []byte{} },
			func(r *driver.Record) { r.Data = []byte("not JSON") },
			func(r *driver.Record) { r.Data = []byte(`"text"`) },
		} {
			want := full()
			change(&want)
			line := wire.AppendRecord(nil, &want)
			if bytes.ContainsAny(line, "\r\n") {
				t.Errorf("a line break in %s", line)
			}
			got, err := wire.NewParser().Record(line, 1)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if !reflect.DeepEqual(got.Record, want) {
				t.Errorf("%s\n got %+v\nwant %+v", line, got.Record, want)
			}
		}
	})
	t.Run("has the form of the design", func(t *testing.T) {
		r := full()
		r.Stream, r.Tags, r.Metadata, r.Conditions = "item-laptop", nil, nil, r.Conditions[:1]
		const want = `{"position":7,"stream":"item-laptop","version":3,"type":"ItemCreated","id":"0198c0de-0000-7000-8000-000000000001",` +
			`"time":"2021-02-03T04:05:06Z","occurred":"2020-02-03T04:05:06.000000007Z","batch":7,` +
			`"data":{"n": 12345678901234567890, "s":"é\n", "d":1.10},"conditions":[{"stream":"item-x","version":2}]}`
		if got := string(wire.AppendRecord(nil, &r)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestInput(t *testing.T) {
	t.Run("reads an event as it was written", func(t *testing.T) {
		want := full().Event
		got, err := wire.NewParser().Input(wire.AppendEvent(nil, &want), 1)
		if err != nil || !reflect.DeepEqual(got.Event, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("expects a version", func(t *testing.T) {
		in, err := wire.NewParser().Input([]byte(`{"stream":"s","type":"T","data":1,"expect_version":4}`), 1)
		if err != nil || !reflect.DeepEqual(in.Conditions(), []driver.Condition{driver.StreamAt("s", 4)}) {
			t.Errorf("got %+v, %v", in.Conditions(), err)
		}
	})
	for _, c := range []struct{ name, line, field, reason string }{
		{"invalid JSON", `{"stream":"s","type":"T","data":{"a":}}`, "data.a", "invalid JSON"},
		{"NaN", `{"stream":"s","type":"T","data":{"a":NaN}}`, "data.a", "NaN is not JSON"},
		{"a number out of form", `{"stream":"s","type":"T","data":{"a":01}}`, "data", "invalid JSON"},
		{"a field of data given twice", `{"stream":"s","type":"T","data":{"b":{"a":1,"a":2}}}`, "data.b.a", "given twice"},
		{"a field given twice", `{"stream":"s","stream":"t","type":"T","data":1}`, "stream", "given twice"},
		{"an unknown field", `{"stream":"s","type":"T","data":1,"tag":["a:b"]}`, "tag", "not known"},
		{"what the log sets", `{"stream":"s","type":"T","data":1,"position":4}`, "position", "the log sets it"},
		{"invalid UTF-8", "{\"stream\":\"s\xff\",\"type\":\"T\",\"data\":1}", "stream", "invalid UTF-8"},
		{"invalid UTF-8 in data", "{\"stream\":\"s\",\"type\":\"T\",\"data\":[\"\xff\"]}", "data[0]", "invalid UTF-8"},
		{"data that is missing", `{"stream":"s","type":"T"}`, "data", "missing"},
		{"a type that is missing", `{"stream":"s","data":1}`, "type", "missing"},
		{"a wrong kind", `{"stream":5,"type":"T","data":1}`, "stream", "must be a string"},
		{"a wrong kind in an array", `{"stream":"s","type":"T","data":1,"tags":["a:b",2]}`, "tags[1]", "must be a string"},
		{"a bad ID", `{"id":"x","type":"T","data":1}`, "id", "not a UUID"},
		{"a bad time", `{"occurred":"yesterday","type":"T","data":1}`, "occurred", "RFC 3339"},
		{"a negative version", `{"stream":"s","type":"T","data":1,"expect_version":-1}`, "expect_version", "not a whole number"},
		{"a version without a stream", `{"type":"T","data":1,"expect_version":1}`, "expect_version", "no stream"},
		{"bad base64", `{"stream":"s","type":"T","encoding":"cbor","data":"!"}`, "data", "base64"},
		{"two values in a line", `{"stream":"s","type":"T","data":1}{}`, "", "something follows"},
		{"a line that ends early", `{"stream":"s","type":"T","da`, "", "ends in the middle"},
		{"no object", `[1]`, "", "must be an object"},
		{"binary rubbish", "\x00\x01\xfe\xff", "", "invalid"},
	} {
		t.Run("refuses "+c.name, func(t *testing.T) {
			_, err := wire.NewParser().Input([]byte(c.line), 12)
			var e *wire.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Line != 12 || e.Field != c.field || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("got line %d, field %q, reason %q", e.Line, e.Field, e.Reason)
			}
		})
	}
}

func TestCondition(t *testing.T) {
	for _, bad := range []string{`{}`, `{"stream":"s"}`, `{"stream":"s","version":1,"absent":true}`, `{"none":{}}`, `{"stream":"s","absent":false}`} {
		if _, err := wire.NewParser().Record([]byte(`{"type":"T","data":1,"conditions":[`+bad+`]}`), 1); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		text []string
		want driver.Query
	}{
		{nil, driver.Query{}},
		{[]string{"type=A|B,tag=k:v,tag=l:w,stream=s-1|s-2,category=c"}, driver.Query{Items: []driver.Item{
			{Types: []string{"A", "B"}, Tags: []string{"k:v", "l:w"}, Streams: []string{"s-1", "s-2"}, Category: "c"}}}},
		{[]string{"type=A", ` {"items":[{"types":["B,C"]}]}`}, driver.Query{Items: []driver.Item{{Types: []string{"A"}}, {Types: []string{"B,C"}}}}},
		{[]string{"type=A", "{}"}, driver.Query{Items: []driver.Item{{Types: []string{"A"}}, {}}}},
	} {
		got, err := wire.ParseQuery(c.text...)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "A", "type=", "kind=A", "id=7", "category=a,category=b", "{", `{"types":["A"]}`, `{"items":[{"type":"A"}]}`} {
		if q, err := wire.ParseQuery(bad); err == nil {
			t.Errorf("%q was read as %v", bad, q)
		}
	}
}

func TestCheckData(t *testing.T) {
	for text, want := range map[string]string{
		` {"a": 9007199254740993 } `:              `{"a": 9007199254740993 }`,
		"{\n \"a\": 1.10,\r\n \"b\":\"\\u00e9\"}": `{"a":1.10,"b":"\u00e9"}`,
	} {
		got, err := wire.CheckData([]byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
	for text, part := range map[string]string{
		`{"a":{"b":1,"b":2}}`: "data.a.b", `{"a":nan}`: "data.a", "": "no JSON", "{} {}": "something follows", "\xff": "invalid",
	} {
		if _, err := wire.CheckData([]byte(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: got %v, want it to say %s", text, err, part)
		}
	}
}

func TestLines(t *testing.T) {
	t.Run("are numbered, blank ones passed over", func(t *testing.T) {
		var got []string
		for l, err := range wire.Lines(strings.NewReader("a\n\n  \r\nb\r\nc")) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(rune('0'+l.Number))+string(l.Text))
		}
		if want := []string{"1a", "4b", "5c"}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("longer than the buffer are whole", func(t *testing.T) {
		long := strings.Repeat("x", 3<<20)
		for l, err := range wire.Lines(strings.NewReader(long + "\n")) {
			if err != nil || string(l.Text) != long {
				t.Errorf("got %d bytes, %v", len(l.Text), err)
			}
		}
	})
	t.Run("over the limit are an error that names them", func(t *testing.T) {
		var last error
		for _, err := range wire.Lines(strings.NewReader("a\n" + strings.Repeat("x", wire.MaxLine+1<<20))) {
			last = err
		}
		var e *wire.Error
		if !errors.As(last, &e) || e.Line != 2 {
			t.Errorf("got %v", last)
		}
	})
}

func FuzzRecord(f *testing.F) {
	r := full()
	f.Add(wire.AppendRecord(nil, &r))
	f.Add([]byte(`{"type":"T","data":{"a":[1,2,{"b":null}]},"encoding":"json"}`))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ps := wire.NewParser()
		got, err := ps.Record(text, 1)
		if _, inputErr := ps.Input(text, 1); err != nil || got.Stream == "" && inputErr == nil {
			return
		}
		again, err := ps.Record(wire.AppendRecord(nil, &got.Record), 1)
		if err != nil {
			t.Fatalf("what was read does not read back: %v", err)
		}
		got.Time = again.Time // a line may leave the time out; a record never has none
		if got.Version != 0 && got.Stream == "" {
			got.Version = 0
		}
		if !reflect.DeepEqual(again, got) {
			t.Errorf("got %+v, want %+v", again, got)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("type=A|B,tag=k:v")
	f.Add(`{"items":[{"types":["A"],"ids":["0198c0de-0000-7000-8000-000000000001"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := wire.ParseQuery(text)
		if err != nil {
			return
		}
		if again, err := wire.ParseQuery(string(wire.AppendQuery(nil, q))); err != nil || !again.All() && q.String() != again.String() {
			t.Errorf("%q: got %v, %v, want %v", text, again, err, q)
		}
	})
}

func BenchmarkAppendRecord(b *testing.B) {
	r := full()
	r.Stream, r.Conditions = "item-laptop", nil
	buf := wire.AppendRecord(nil, &r)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = wire.AppendRecord(buf[:0], &r)
	}
}

func BenchmarkParseRecord(b *testing.B) {
	r := full()
	r.Conditions = nil
	line := wire.AppendRecord(nil, &r)
	ps := wire.NewParser()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := ps.Record(line, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMetadataAndConditionsByThemselvesComeBackEqual(t *testing.T) {
	m := driver.NewMetadata(map[string]string{"actor": "ann", "ü\"\n": "\x00\u2028"})
	c := []driver.Condition{
		driver.StreamAt("item-1", 3), driver.StreamAbsent("ü"), driver.StreamPresent("a\x00b"),
		driver.NoneAfter(driver.Query{Items: []driver.Item{{}, {Types: []string{"A"}, Tags: []string{"k:v"}, Category: "item"}}}, 7),
		driver.NoneAfter(driver.Query{}, 0),
	}
	ps := wire.NewParser()
	if got, err := ps.Metadata(wire.AppendMetadata(nil, m)); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("metadata came back as %v and %v", got, err)
	}
	if got, err := ps.Conditions(wire.AppendConditions(nil, c)); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("conditions came back as %v and %v", got, err)
	}
	if _, err := ps.Conditions([]byte(`[{"stream":"a"}]`)); err == nil {
		t.Error("a condition that requires nothing is read")
	}
}
