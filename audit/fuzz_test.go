package audit

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzRows reads rows and parts of events: nothing panics, and what is read is
// written as it was.
func FuzzRows(f *testing.F) {
	for _, s := range []string{`{"a":"1","b":null}`, `{}`, `{"after":{"a":"\u0000é"},"before":{}}`, `{"a":1}`, `[`, ``, `{"a":"1","a":"2"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if part, err := member(data, "after"); err == nil && part != nil && !json.Valid(part) {
			t.Errorf("a part is %q", part)
		}
		row, err := parseRow(data)
		if err != nil {
			return
		}
		d := description{Schema: "s", Table: "t"}
		var values []value
		for name, v := range row {
			d.Columns = append(d.Columns, Column{Name: name, Number: len(d.Columns) + 1})
			values = append(values, v)
		}
		if len(values) == 0 {
			return
		}
		d.Key = []string{d.Columns[0].Name}
		table, err := newTable(d)
		if err != nil {
			t.Fatal(err)
		}
		text, err := table.appendRow(nil, values, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseRow(text)
		if err != nil || len(again) != len(row) {
			t.Fatalf("%q is read as %v, %v", text, again, err)
		}
		for name, v := range row {
			if !again[name].equal(v) {
				t.Errorf("%q was %v and is %v", name, v, again[name])
			}
		}
	})
}

// FuzzTexts reads what people and servers write: nothing panics.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{`public."a""b"`, "1:2:3,4", "1\t0/16B3748\tno recovery target\n", `{"log_id":"05b06b85-f638-478b-80bc-3b985ff6c8ba","position":1}` + "\n", "a.b", `"`, "::", "%2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseName(s); err == nil {
			if again, err := ParseName(n.SQL()); err != nil || again != n {
				t.Errorf("%s is read as %v, %v", n.SQL(), again, err)
			}
			if back := nameOf(n.Stream()); back != n {
				t.Errorf("stream %s is of table %v, not %v", n.Stream(), back, n)
			}
		}
		if skip, err := unseen(s); err == nil {
			skip("1")
		}
		_, _, _ = leftAt(s, 1)
		_, _ = ReadSeals(bytes.NewBufferString(s))
	})
}
