package statediff

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Path leads to a field of a state: names (string) and indexes (int) from the
// outside in. The empty path is the state itself.
type Path []any

// String returns p as jq writes it: .lines[2].price, .["odd name"], "." for the
// state itself.
func (p Path) String() string {
	if len(p) == 0 {
		return "."
	}
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case int:
			if b.Len() == 0 {
				b.WriteByte('.')
			}
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			if plainName(s) {
				b.WriteString("." + s)
				continue
			}
			if b.Len() == 0 {
				b.WriteByte('.')
			}
			b.WriteString("[" + quote(s) + "]")
		}
	}
	return b.String()
}

// quote writes a name as JSON does, which jq reads too.
func quote(s string) string {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil { // it is not UTF-8, so it stands for itself with what is wrong replaced
		text, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return string(text)
}

func plainName(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return s != ""
}

// ParsePath parses what String writes, the other ways in which jq writes a
// name (."odd name"), and names joined by dots without the first dot.
func ParsePath(text string) (Path, error) {
	fail := func(at int, why string) (Path, error) {
		return nil, fmt.Errorf("path %q, at byte %d: %s", text, at+1, why)
	}
	p, rest := Path{}, text
	if rest == "." || rest == "" {
		return p, nil
	}
	if rest[0] != '.' && rest[0] != '[' {
		rest = "." + rest
	}
	for rest != "" {
		at := max(len(text)-len(rest), 0)
		var step any
		var used int
		var why string
		switch {
		case strings.HasPrefix(rest, ".["):
			step, used, why = parseIndex(rest[1:])
			used++
		case strings.HasPrefix(rest, `."`):
			step, used, why = parseQuoted(rest[1:])
			used++
		case rest[0] == '.':
			step, used, why = parseName(rest)
		case rest[0] == '[':
			step, used, why = parseIndex(rest)
		default:
			why = "a dot or [ expected"
		}
		if why != "" {
			return fail(at, why)
		}
		p, rest = append(p, step), rest[used:]
	}
	return p, nil
}

// parseName parses .name at the start of text.
func parseName(text string) (step any, used int, why string) {
	end := strings.IndexAny(text[1:], ".[")
	if end < 0 {
		end = len(text) - 1
	}
	if end == 0 {
		return nil, 0, "a name is missing"
	}
	return text[1 : 1+end], 1 + end, ""
}

// parseIndex parses [12] or ["name"] at the start of text.
func parseIndex(text string) (step any, used int, why string) {
	if strings.HasPrefix(text, `["`) {
		step, used, why = parseQuoted(text[1:])
		if why == "" && !strings.HasPrefix(text[1+used:], "]") {
			why = "[ is not closed"
		}
		return step, used + 2, why
	}
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return nil, 0, "[ is not closed"
	}
	n, err := strconv.Atoi(text[1:end])
	if err != nil || n < 0 {
		return nil, 0, "an index or a name in quotes expected"
	}
	return n, end + 1, ""
}

// parseQuoted parses a name in quotes at the start of text.
func parseQuoted(text string) (step any, used int, why string) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			name, err := jsontext.AppendUnquote(nil, text[:i+1])
			if err != nil {
				return nil, 0, "the name in quotes is not one that JSON knows"
			}
			return string(name), i + 1, ""
		}
	}
	return nil, 0, "the name in quotes is not closed"
}

// Within reports whether p leads to outer or to something in it.
func (p Path) Within(outer Path) bool {
	if len(p) < len(outer) {
		return false
	}
	for i := range outer {
		if p[i] != outer[i] {
			return false
		}
	}
	return true
}
