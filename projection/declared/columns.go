package declared

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/annals-db/annals/internal/fold"
)

// column is a column of a table.
type column struct {
	name string
	kind *kind
}

// kind is a type of column: its names in SQL, and how its values get to and
// from the values of jq.
type kind struct {
	name             string
	sqlite, postgres string
	to               func(any) (any, error)
	from             func() (dest any, value func() (any, error))
}

var kinds = []*kind{
	{"integer", "INTEGER", "bigint", toInteger, scan(func(n sql.NullInt64) (any, error) { return int(n.Int64), nil }, func(n sql.NullInt64) bool { return n.Valid })},
	{"number", "REAL", "double precision", toNumber, scan(func(n sql.NullFloat64) (any, error) { return n.Float64, nil }, func(n sql.NullFloat64) bool { return n.Valid })},
	{"text", "TEXT", "text", toText, scan(func(s sql.NullString) (any, error) { return s.String, nil }, func(s sql.NullString) bool { return s.Valid })},
	{"boolean", "INTEGER", "boolean", toBoolean, scan(func(b sql.NullBool) (any, error) { return b.Bool, nil }, func(b sql.NullBool) bool { return b.Valid })},
	{"json", "TEXT", "jsonb", toJSON, scan(func(s sql.NullString) (any, error) { return fold.Parse([]byte(s.String)) }, func(s sql.NullString) bool { return s.Valid })},
}

// scan returns what reads a value that may be NULL, which is nil then.
func scan[T any](value func(T) (any, error), valid func(T) bool) func() (any, func() (any, error)) {
	return func() (any, func() (any, error)) {
		var dest T
		return &dest, func() (any, error) {
			if !valid(dest) {
				return nil, nil
			}
			return value(dest)
		}
	}
}

// columns returns the columns in the order of their names.
func columns(declared map[string]string, key string) (all []column, err error) {
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		n := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == declared[name] })
		switch {
		case n < 0:
			return nil, fmt.Errorf("%s: %q is none of integer, number, text, boolean and json", name, declared[name])
		case !identifiers.MatchString(name):
			return nil, fmt.Errorf("%q: a column's name is lower-case letters, digits and underscores, up to 40, a letter first", name)
		case name == key:
			return nil, fmt.Errorf("%s is the column of the key, which is text", name)
		}
		all = append(all, column{name, kinds[n]})
	}
	return all, nil
}

func wrong(v any, what string) error {
	text, _ := fold.Marshal(v)
	return fmt.Errorf("%.60s is not %s", text, what)
}

func toInteger(v any) (any, error) {
	switch n := v.(type) {
	case int:
		return int64(n), nil
	case float64:
		if i := int64(n); float64(i) == n && n < 1<<63 && n >= -1<<63 {
			return i, nil
		}
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
	case *big.Int:
		if n.IsInt64() {
			return n.Int64(), nil
		}
	}
	return nil, wrong(v, "an integer of 64 bits")
}

func toNumber(v any) (any, error) {
	switch n := v.(type) {
	case int:
		return float64(n), nil
	case float64:
		return n, nil
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f, nil
		}
	case *big.Int:
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, nil
	}
	return nil, wrong(v, "a number")
}

func toText(v any) (any, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return nil, wrong(v, "text")
}

func toBoolean(v any) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return nil, wrong(v, "true or false")
}

func toJSON(v any) (any, error) {
	text, err := fold.Marshal(v)
	return string(text), err
}
