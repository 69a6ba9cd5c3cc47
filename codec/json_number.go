package codec

import (
	stdjson "encoding/json"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The library knows encoding/json's Number only where it is built into Go;
// elsewhere these two write it as the number it is. Looking for them costs
// each value 50 ns, so that only types with a Number in them do.
var numberOptions = json.JoinOptions(jsonOptions,
	json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, n stdjson.Number) error {
		return e.WriteValue(jsontext.Value(n))
	})),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, n *stdjson.Number) error {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch v.Kind() {
		case '0':
			*n = stdjson.Number(v)
		case 'n':
			*n = ""
		default:
			return fmt.Errorf("%s is not a number", v)
		}
		return nil
	})))

// numberTypes says of each type met whether a Number may be within. The map is
// never changed, only replaced, so that looking costs little.
var (
	numberTypes atomic.Pointer[map[reflect.Type]bool]
	numberMu    sync.Mutex
)

func optionsFor(v any) json.Options {
	t := reflect.TypeOf(v)
	if known := numberTypes.Load(); known != nil {
		if has, ok := (*known)[t]; ok {
			return choose(has)
		}
	}
	return choose(learnNumber(t))
}

func choose(number bool) json.Options {
	if number {
		return numberOptions
	}
	return jsonOptions
}

func learnNumber(t reflect.Type) bool {
	numberMu.Lock()
	defer numberMu.Unlock()
	next := map[reflect.Type]bool{}
	if known := numberTypes.Load(); known != nil {
		maps.Copy(next, *known)
	}
	has := hasNumber(t, map[reflect.Type]bool{})
	next[t] = has
	numberTypes.Store(&next)
	return has
}

// hasNumber reports whether a json.Number may be within a t.
func hasNumber(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.String:
		return t == reflect.TypeFor[stdjson.Number]()
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return hasNumber(t.Elem(), seen)
	case reflect.Map:
		return hasNumber(t.Key(), seen) || hasNumber(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if hasNumber(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}
