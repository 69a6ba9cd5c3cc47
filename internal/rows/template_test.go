package rows

import (
	"testing"
	"text/template"
)

// FuzzTemplate checks that a template that is run without text/template gives
// what text/template gives.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"p-{{.a | trim | upper}}", `{"q":{{int .b}},"s":{{json .a}}}`, `{{index . "c d"}}`, `{{.a | default "x"}}{{replace "1" "2" .b}}`,
		`{{if .a}}y{{end}}`, `{{json (trim .a)}}`, `{{"x" | default .a}}`, `{{- .a -}} x`, `{{/* c */}}`, `{{.a.b}}`, `{{print .a}}`, `{{bool .b}}{{number .b}}{{lower .a}}`,
	} {
		f.Add(s, " a\"b", "12")
	}
	columns := []string{"a", "b", "c d"}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		tm, err := template.New("t").Option("missingkey=error").Funcs(funcMap()).Parse(text)
		if err != nil {
			return
		}
		c := compiler{"t", columns}
		fast, ok := c.simple(tm.Root)
		if c.check(tm.Root) != nil || !ok {
			return
		}
		row := &Row{Number: 1, Line: 2, Fields: []string{a, b, "x"}}
		got, err := fast(nil, row)
		want, wantErr := general(tm, "t", columns)(nil, row)
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != string(want) {
			t.Errorf("%q: got %q, %v, want %q, %v", text, got, err, want, wantErr)
		}
	})
}
