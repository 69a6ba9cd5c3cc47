package declared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/internal/fold"
	"github.com/annals-db/annals/internal/wire"
	"github.com/annals-db/annals/projection"
)

// Declaration is a projection as a configuration file has it. What a version
// says goes before what stands outside.
type Declaration struct {
	Target string `json:"target,omitempty"` // sqlite:PATH, postgres://… or documents:, in the state beside the log
	Table  string `json:"table,omitempty"`  // the table's or collection's name; the projection's by default
	Key    string `json:"key,omitempty"`    // the key's column; "key" by default
	body
	Partitions int             `json:"partitions,omitempty"` // handled beside each other, in order per key; 1 by default
	OnError    string          `json:"on_error,omitempty"`   // stop, retry or dead-letter
	Attempts   int             `json:"attempts,omitempty"`   // before on_error; 3 by default
	Version    map[string]body `json:"versions,omitempty"`   // by name: v1, v2
}

// body is what a version may say differently.
type body struct {
	Query    []string          `json:"query,omitempty"`     // such as type=StockMoved; any of them; everything by default
	By       string            `json:"by,omitempty"`        // jq of $event: the key of an event's row; $event.stream by default
	Fold     string            `json:"fold,omitempty"`      // jq; merge by default
	FoldFile string            `json:"fold_file,omitempty"` // a file with it, beside the configuration
	Columns  map[string]string `json:"columns,omitempty"`   // type by name: integer, number, text, boolean, json
}

// Error says which field of a declaration is wrong.
type Error struct {
	Field string // "projections.stock.columns.quantity"
	Err   error
}

func (e *Error) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Version is one version of a declared projection.
type Version struct {
	Name, Version, Target string

	table, keyColumn string
	columns          []column
	by               func(*annals.Record) (string, error)
	step             *fold.Stepper
	query            annals.Query
	opts             projection.Options
}

// identifiers are the names that need no quoting.
var identifiers = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Versions checks the declaration of a projection and returns its versions in
// the order of their names; one without versions has the version "v1". Files
// are looked for in dir.
func (d *Declaration) Versions(name, dir string) ([]*Version, error) {
	field := "projections." + name
	if !identifiers.MatchString(name) {
		return nil, &Error{field, errors.New("a projection's name is lower-case letters, digits and underscores, up to 40, a letter first")}
	}
	if len(d.Version) == 0 {
		v, err := d.version(name, "v1", field, dir, d.body)
		return []*Version{v}, err
	}
	var all []*Version
	for _, vn := range slices.Sorted(maps.Keys(d.Version)) {
		where := field + ".versions." + vn
		if !identifiers.MatchString(vn) {
			return nil, &Error{where, errors.New("a version's name is lower-case letters, digits and underscores, up to 40, a letter first")}
		}
		v, err := d.version(name, vn, where, dir, d.body.with(d.Version[vn]))
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// with returns b with what v says differently.
func (b body) with(v body) body {
	if v.Query != nil {
		b.Query = v.Query
	}
	if v.By != "" {
		b.By = v.By
	}
	if v.Fold != "" || v.FoldFile != "" {
		b.Fold, b.FoldFile = v.Fold, v.FoldFile
	}
	if v.Columns != nil {
		b.Columns = v.Columns
	}
	return b
}

func (d *Declaration) version(name, vn, field, dir string, b body) (*Version, error) {
	v := &Version{Name: name, Version: vn, Target: d.Target, table: d.Table, keyColumn: d.Key}
	bad := func(f string, err error) (*Version, error) { return nil, &Error{field + "." + f, err} }
	if v.table == "" {
		v.table = name
	}
	if v.keyColumn == "" {
		v.keyColumn = "key"
	}
	for f, text := range map[string]string{"table": v.table, "key": v.keyColumn} {
		if !identifiers.MatchString(text) {
			return bad(f, fmt.Errorf("%q: lower-case letters, digits and underscores, up to 40, a letter first", text))
		}
	}
	var err error
	if v.query, err = wire.ParseQuery(b.Query...); err != nil {
		return bad("query", err)
	}
	if v.step, err = b.stepper(dir); err != nil {
		return bad("fold", err)
	}
	if v.by, err = keyOf(b.By); err != nil {
		return bad("by", err)
	}
	if v.columns, err = columns(b.Columns, v.keyColumn); err != nil {
		return bad("columns", err)
	}
	sql, err := isSQL(d.Target)
	if err != nil {
		return bad("target", err)
	}
	switch {
	case sql && len(v.columns) == 0:
		return bad("columns", errors.New("a table needs columns"))
	case !sql && len(v.columns) > 0:
		return bad("columns", errors.New("documents have no columns"))
	}
	if v.opts.OnError, err = policy(d.OnError); err != nil {
		return bad("on_error", err)
	}
	if d.Partitions < 0 || d.Attempts < 0 {
		return bad("partitions", errors.New("partitions and attempts are not negative"))
	}
	v.opts.Partitions, v.opts.Attempts = d.Partitions, d.Attempts
	return v, nil
}

func policy(text string) (projection.ErrorPolicy, error) {
	switch text {
	case "", "stop":
		return projection.Stop, nil
	case "retry":
		return projection.Retry, nil
	case "dead-letter":
		return projection.DeadLetter, nil
	}
	return 0, fmt.Errorf("%q is none of stop, retry and dead-letter", text)
}

func (b *body) stepper(dir string) (*fold.Stepper, error) {
	program := b.Fold
	switch {
	case program != "" && b.FoldFile != "":
		return nil, errors.New("give fold or fold_file, not both")
	case b.FoldFile != "":
		path := b.FoldFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		program = string(text)
	case program == "":
		return fold.Merge().Stepper()
	}
	f, err := fold.Compile(program, nil)
	if err != nil {
		return nil, err
	}
	return f.Stepper()
}

// keyOf returns what finds an event's key.
func keyOf(program string) (func(*annals.Record) (string, error), error) {
	if program == "" {
		return func(r *annals.Record) (string, error) {
			if r.Stream == "" {
				return "", errors.New(`the event has no stream, so that "by" must say which row it is about`)
			}
			return r.Stream, nil
		}, nil
	}
	f, err := fold.Compile(program, nil)
	if err != nil {
		return nil, err
	}
	s, err := f.Stepper()
	if err != nil {
		return nil, err
	}
	return func(r *annals.Record) (string, error) {
		v, err := s.Step(context.Background(), map[string]any{}, r)
		if err != nil {
			return "", fmt.Errorf("by: %w", err)
		}
		key, ok := v.(string)
		if !ok || key == "" {
			text, _ := fold.Marshal(v)
			return "", fmt.Errorf("by: it gives %s, and a key is text", text)
		}
		return key, nil
	}, nil
}

// order is the key by which the projection keeps events in order: that of
// the row, or one of its own for an event whose handler will fail on it.
func (v *Version) order(r *annals.Record) string {
	key, err := v.by(r)
	if err != nil {
		return "no key: " + r.Stream
	}
	return key
}
