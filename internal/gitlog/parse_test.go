package gitlog

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	header := "commit a1\x00p1 p2\x00refs/heads/main\x00Ann\x00a@x\x00123\x00124\x00subject\n\nbody\n\x00"
	f.Add(header + "\x00\n:100644 100644 aa bb M\x00a\x00\x00" + header)
	f.Add(header + "\x00\n::100644 100644 100644 aa bb cc MM\x00a\x00")
	f.Add(header + "\x00\n:100644 100644 aa bb R090\x00a\x00b\x00")
	f.Fuzz(func(t *testing.T, text string) {
		for c, err := range parse(strings.NewReader(text)) {
			if err != nil {
				return
			}
			m := mapping{}
			m.limits.NameBytes = 1024
			for _, e := range m.events(c, "main") {
				if e.Stream == "" || e.Type == "" || len(e.Data) == 0 {
					t.Fatalf("%+v", e)
				}
			}
		}
	})
}

func TestParseRefuses(t *testing.T) {
	header := "commit a1\x00\x00main\x00Ann\x00a@x\x00123\x00124\x00subject\x00"
	for _, bad := range []string{"x", "junk\x00", "commit a\x00b", header + ":1 2 M\x00a\x00", header + ":1 2 3 4 R100\x00a\x00", header + ":1 2 3 4 M", header + "junk\x00"} {
		failed := false
		for _, err := range parse(strings.NewReader(bad)) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("%q was taken", bad)
		}
	}
}
