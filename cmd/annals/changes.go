package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/history"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/wire"
)

// jsonOf returns a state or a part of one as JSON.
func jsonOf(v any) string {
	text, err := fold.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", "("+err.Error()+")")
	}
	return string(text)
}

func quoted(s string) string {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		text, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return string(text)
}

// appendChange appends a change as JSON.
func appendChange(b []byte, c history.Change) []byte {
	b = fmt.Appendf(b, `{"path":%s,"kind":%q`, quoted(c.Path.String()), c.Kind)
	if c.Kind != history.Added {
		b = append(append(b, `,"old":`...), jsonOf(c.Old)...)
	}
	if c.Kind != history.Removed {
		b = append(append(b, `,"new":`...), jsonOf(c.New)...)
	}
	return append(b, '}')
}

func appendChanges(b []byte, changes []history.Change) []byte {
	b = append(b, '[')
	for i, c := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendChange(b, c)
	}
	return append(b, ']')
}

// with returns a record as JSON with more fields behind its own.
func with(rec *driver.Record, fields []byte) []byte {
	b := wire.AppendRecord(nil, rec)
	return append(append(append(b[:len(b)-1], ','), fields...), '}')
}

// inWords returns changes for a cell: .quantity 10→7, +.name "Laptop", -.old
func inWords(changes []history.Change) string {
	var words []string
	for _, c := range changes {
		switch c.Kind {
		case history.Added:
			words = append(words, "+"+c.Path.String()+" "+brief(jsonOf(c.New), 60))
		case history.Removed:
			words = append(words, "-"+c.Path.String())
		default:
			words = append(words, c.Path.String()+" "+brief(jsonOf(c.Old), 40)+"→"+brief(jsonOf(c.New), 40))
		}
	}
	return strings.Join(words, ", ")
}

// brief returns s, or its begin if it is longer than most characters.
func brief(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// The colours of rows, used in a terminal only.
const (
	green = "\x1b[32m"
	red   = "\x1b[31m"
	bold  = "\x1b[1m"
	reset = "\x1b[0m"
)

// colours reports whether results are shown in colour.
func (a *app) colours() bool {
	return a.format == formatTable && isTerminal(a.out) && os.Getenv("NO_COLOR") == ""
}
