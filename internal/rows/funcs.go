package rows

import (
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/go-json-experiment/json/jsontext"
)

// Functions says what functions a template may use, for help texts.
const Functions = `Functions, each {{f .Column}} or {{.Column | f}}:
  json        as a JSON string, quoted
  int         as a whole number, its digits kept; anything else is a bad row
  number      as a JSON number, its digits kept; anything else is a bad row
  bool        true or false from true/false, yes/no, 1/0
  lower, upper, trim
  required    a bad row where it is empty
  default X   X where it is empty:        {{.Country | default "none"}}
  replace A B every A by B:               {{.StockCode | replace " " "_"}}
A column whose name is not a word: {{index . "Unit Price"}}. All of Go's
text/template works: {{if .CustomerID}}…{{end}}.`

// function takes its last argument from a pipe.
type function struct {
	args int
	call func(args []string) (string, error)
}

var functions = map[string]function{
	"json":     {1, quoteJSON},
	"int":      {1, wholeNumber},
	"number":   {1, number},
	"bool":     {1, boolean},
	"lower":    {1, func(a []string) (string, error) { return strings.ToLower(a[0]), nil }},
	"upper":    {1, func(a []string) (string, error) { return strings.ToUpper(a[0]), nil }},
	"trim":     {1, func(a []string) (string, error) { return strings.TrimSpace(a[0]), nil }},
	"required": {1, required},
	"default":  {2, orDefault},
	"replace":  {3, func(a []string) (string, error) { return strings.ReplaceAll(a[2], a[0], a[1]), nil }},
}

// funcMap is functions as text/template wants them.
func funcMap() template.FuncMap {
	m := template.FuncMap{}
	for name, f := range functions {
		m[name] = func(args ...any) (string, error) {
			if len(args) != f.args {
				return "", fmt.Errorf("it takes %d arguments", f.args)
			}
			texts := make([]string, len(args))
			for i, a := range args {
				texts[i] = fmt.Sprint(a)
			}
			return f.call(texts)
		}
	}
	return m
}

func quoteJSON(a []string) (string, error) {
	text, err := jsontext.AppendQuote(nil, a[0])
	return string(text), err
}

func wholeNumber(a []string) (string, error) {
	s := strings.TrimSpace(a[0])
	if !isNumber(s) || strings.ContainsAny(s, ".eE") {
		return "", fmt.Errorf("%q is not a whole number", a[0])
	}
	return s, nil
}

func number(a []string) (string, error) {
	s := strings.TrimSpace(a[0])
	if !isNumber(s) {
		return "", fmt.Errorf("%q is not a number", a[0])
	}
	return s, nil
}

// isNumber reports whether s is a JSON number.
func isNumber(s string) bool {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	return jsontext.Value(s).IsValid()
}

func boolean(a []string) (string, error) {
	switch strings.ToLower(strings.TrimSpace(a[0])) {
	case "true", "yes", "y", "t", "1":
		return "true", nil
	case "false", "no", "n", "f", "0":
		return "false", nil
	}
	return "", fmt.Errorf("%q is neither true nor false", a[0])
}

func required(a []string) (string, error) {
	if a[0] == "" {
		return "", errors.New("it is empty")
	}
	return a[0], nil
}

func orDefault(a []string) (string, error) {
	if a[1] == "" {
		return a[0], nil
	}
	return a[1], nil
}
