package statediff

import (
	"fmt"
	"strconv"
	"strings"
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
			b.WriteString("[" + strconv.Quote(s) + "]")
		}
	}
	return b.String()
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

// ParsePath parses what String writes, and names joined by dots without the
// first dot.
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
		at := len(text) - len(rest)
		if strings.HasPrefix(rest, ".[") {
			rest = rest[1:]
		}
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return fail(at, "a name is missing")
			}
			p, rest = append(p, rest[1:1+end]), rest[1+end:]
			continue
		}
		if rest[0] != '[' {
			return fail(at, "a dot or [ expected")
		}
		step, used, why := parseIndex(rest)
		if why != "" {
			return fail(at, why)
		}
		p, rest = append(p, step), rest[used:]
	}
	return p, nil
}

// parseIndex parses [12] or ["name"] at the start of text.
func parseIndex(text string) (step any, used int, why string) {
	if strings.HasPrefix(text, `["`) {
		quoted, err := strconv.QuotedPrefix(text[1:])
		if err != nil || !strings.HasPrefix(text[1+len(quoted):], "]") {
			return nil, 0, "the name in quotes is not closed"
		}
		name, _ := strconv.Unquote(quoted)
		return name, len(quoted) + 2, ""
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
