package fold

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/itchyny/gojq"
)

// fields are the fields of $event that a program looks at; nil means all.
type fields map[string]bool

func (f fields) has(name string) bool { return f == nil || f[name] }

// refused are the names that look at something other than a fold's input.
var refused = map[string]string{
	"now":               "the time of day",
	"localtime":         "the local time zone",
	"strflocaltime":     "the local time zone",
	"env":               "the environment",
	"$ENV":              "the environment",
	"input":             "other input",
	"inputs":            "other input",
	"input_line_number": "other input",
	"input_filename":    "other input",
	eventsName:          "other input",
	"$__prog_args":      "other input",
	"debug":             "the outside",
	"stderr":            "the outside",
	"halt":              "the outside",
	"halt_error":        "the outside",
	"get_search_list":   "the file system",
	"modulemeta":        "the file system",
	"builtins":          "the program that runs it",
}

// inspect returns the fields of $event that q looks at, or an error if q is
// not a function of state and event alone.
func inspect(q *gojq.Query) (fields, error) {
	w := walker{used: fields{}}
	w.walk(reflect.ValueOf(q))
	if w.err != nil {
		return nil, w.err
	}
	if w.all {
		return nil, nil
	}
	return w.used, nil
}

type walker struct {
	used fields
	all  bool
	err  error
}

func (w *walker) name(name string) {
	if about, ok := refused[name]; ok && w.err == nil {
		w.err = fmt.Errorf("the fold uses %s, which looks at %s; a fold may look at its input and $event only", name, about)
	}
}

// walk visits every node of the syntax tree below v.
func (w *walker) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		w.node(v.Interface())
		w.walk(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			w.walk(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(v.Index(i))
		}
	}
}

func (w *walker) node(n any) {
	switch n := n.(type) {
	case *gojq.Term:
		if n.Func != nil && n.Func.Name == "$event" {
			w.event(n.SuffixList)
		}
	case *gojq.Func:
		w.name(n.Name)
	case *gojq.ObjectKeyVal:
		if n.Val == nil && strings.HasPrefix(n.Key, "$") { // {$name}
			w.name(n.Key)
			w.all = w.all || n.Key == "$event"
		}
	case *gojq.Import:
		if w.err == nil {
			w.err = fmt.Errorf("the fold imports %s%s; a fold stands alone", n.ImportPath, n.IncludePath)
		}
	}
}

// event notes what follows $event: a field, or anything.
func (w *walker) event(suffixes []*gojq.Suffix) {
	if len(suffixes) == 0 || suffixes[0].Index == nil {
		w.all = true
		return
	}
	switch i := suffixes[0].Index; {
	case i.Name != "":
		w.used[i.Name] = true
	case i.Str != nil && len(i.Str.Queries) == 0 && !i.IsSlice && i.Start == nil:
		w.used[i.Str.Str] = true
	default:
		w.all = true
	}
}
