package fold

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Parse returns JSON text as the values jq programs work on: what fits an int
// is one, every other number a json.Number with its digits.
func Parse(text []byte) (any, error) {
	var v values
	return v.parse(text)
}

// values parses JSON for one goroutine. It remembers the names of fields, so
// that those that come again and again share their memory.
type values struct {
	text  []byte
	at    int
	depth int
	names map[string]string
}

const (
	maxDepth = 1000 // of arrays and objects in each other
	maxNames = 1000 // remembered
)

var errEnd = errors.New("it ends in the middle")

func (v *values) parse(text []byte) (any, error) {
	v.text, v.at, v.depth = text, 0, 0
	x, err := v.value()
	if err == nil {
		if v.space(); v.at < len(v.text) {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", v.at+1, err)
	}
	return x, nil
}

func (v *values) space() {
	for v.at < len(v.text) {
		switch v.text[v.at] {
		case ' ', '\t', '\n', '\r':
			v.at++
		default:
			return
		}
	}
}

// next passes over space and returns the byte that follows, 0 at the end.
func (v *values) next() byte {
	if v.space(); v.at < len(v.text) {
		return v.text[v.at]
	}
	return 0
}

func (v *values) value() (any, error) {
	switch c := v.next(); c {
	case '{':
		return v.object()
	case '[':
		return v.array()
	case '"':
		raw, plain, err := v.quoted()
		if err != nil {
			return nil, err
		}
		return unquote(raw, plain)
	case 't':
		return true, v.literal("true")
	case 'f':
		return false, v.literal("false")
	case 'n':
		return nil, v.literal("null")
	case 0:
		if v.at >= len(v.text) {
			return nil, errEnd
		}
		return nil, errors.New("invalid character 0")
	default:
		return v.number()
	}
}

func (v *values) literal(s string) error {
	if len(v.text)-v.at < len(s) || string(v.text[v.at:v.at+len(s)]) != s {
		return fmt.Errorf("invalid literal, %s expected", s)
	}
	v.at += len(s)
	return nil
}

func (v *values) enter() error {
	v.at++
	if v.depth++; v.depth > maxDepth {
		return fmt.Errorf("over %d arrays and objects in each other", maxDepth)
	}
	return nil
}

func (v *values) object() (any, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	m := map[string]any{}
	if v.next() == '}' {
		v.at++
		v.depth--
		return m, nil
	}
	for {
		if v.next() != '"' {
			return nil, errors.New("a name expected")
		}
		name, err := v.name()
		if err != nil {
			return nil, err
		}
		if v.next() != ':' {
			return nil, errors.New("a colon expected")
		}
		v.at++
		if m[name], err = v.value(); err != nil {
			return nil, err
		}
		more, err := v.more('}')
		if !more {
			return m, err
		}
	}
}

func (v *values) array() (any, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	list := []any{}
	if v.next() == ']' {
		v.at++
		v.depth--
		return list, nil
	}
	for {
		x, err := v.value()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
		more, err := v.more(']')
		if !more {
			return list, err
		}
	}
}

// more passes over a comma and reports true, or over end and reports false.
func (v *values) more(end byte) (bool, error) {
	switch c := v.next(); {
	case c == ',':
		v.at++
		return true, nil
	case c == end:
		v.at++
		v.depth--
		return false, nil
	case v.at >= len(v.text):
		return false, errEnd
	}
	return false, fmt.Errorf("invalid character %q, a comma or %q expected", v.text[v.at], end)
}

// quoted passes over a string and returns it with its quotes, and whether what
// is between them stands for itself.
func (v *values) quoted() (raw []byte, plain bool, err error) {
	plain = true
	for i := v.at + 1; i < len(v.text); i++ {
		switch c := v.text[i]; {
		case c == '"':
			raw = v.text[v.at : i+1]
			v.at = i + 1
			return raw, plain, nil
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return nil, false, fmt.Errorf("invalid character %q in a string", c)
		case c >= utf8.RuneSelf:
			plain = false // so that invalid UTF-8 is found
		}
	}
	v.at = len(v.text)
	return nil, false, errEnd
}

func unquote(raw []byte, plain bool) (string, error) {
	if plain {
		return string(raw[1 : len(raw)-1]), nil
	}
	s, err := jsontext.AppendUnquote(nil, raw)
	return string(s), err
}

func (v *values) name() (string, error) {
	raw, plain, err := v.quoted()
	if err != nil {
		return "", err
	}
	if s, ok := v.names[string(raw)]; ok {
		return s, nil
	}
	s, err := unquote(raw, plain)
	if err == nil && len(v.names) < maxNames {
		if v.names == nil {
			v.names = map[string]string{}
		}
		v.names[string(raw)] = s
	}
	return s, err
}

func (v *values) number() (any, error) {
	begin := v.at
	whole, ok := v.passNumber()
	raw := v.text[begin:v.at]
	if !ok {
		v.at = begin
		return nil, fmt.Errorf("invalid character %q", v.text[begin])
	}
	if whole && string(raw) != "-0" {
		if n, err := strconv.Atoi(string(raw)); err == nil {
			return n, nil
		}
	}
	return json.Number(raw), nil
}

// passNumber passes over a number and reports whether it is a whole one
// without exponent, and whether it is one at all.
func (v *values) passNumber() (whole, ok bool) {
	if v.at < len(v.text) && v.text[v.at] == '-' {
		v.at++
	}
	first := v.at
	if n := v.digits(); n == 0 || n > 1 && v.text[first] == '0' {
		return false, false
	}
	whole = true
	if v.at < len(v.text) && v.text[v.at] == '.' {
		v.at++
		if whole = false; v.digits() == 0 {
			return false, false
		}
	}
	if v.at < len(v.text) && v.text[v.at]|0x20 == 'e' {
		v.at++
		if v.at < len(v.text) && (v.text[v.at] == '+' || v.text[v.at] == '-') {
			v.at++
		}
		if whole = false; v.digits() == 0 {
			return false, false
		}
	}
	return whole, true
}

func (v *values) digits() (n int) {
	for v.at < len(v.text) && v.text[v.at] >= '0' && v.text[v.at] <= '9' {
		v.at++
		n++
	}
	return n
}
