package codec

import (
	"encoding"
	stdjson "encoding/json"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// JSON is the default codec. It reads struct tags and calls methods as
// encoding/json does, and differs from it where that loses data or guesses:
//
//   - Invalid UTF-8 and a key given twice are errors, both ways.
//   - Names match exactly first, then regardless of case; two keys for one field are an error.
//   - Maps are written in order of their keys, so equal values give equal bytes.
//   - An array of bytes is base64, as a slice of bytes is; an array must come back with its length.
//   - HTML characters are not escaped.
//
// Nil slices and maps are written as null and empty ones as [] and {}, so each
// comes back as it was, unless its field says omitempty. Integers keep all 64
// bits, times their nanoseconds and offset (not the name of their zone),
// durations are nanoseconds. Unknown keys are passed over.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

// The library follows the second version of encoding/json; these options keep
// the meaning that tags and types have had in the first.
var jsonOptions = json.JoinOptions(
	json.Deterministic(true),
	json.FormatNilSliceAsNull(true),
	json.FormatNilMapAsNull(true),
	json.MatchCaseInsensitiveNames(true),
	jsonv1.FormatDurationAsNano(true),
	jsonv1.OmitEmptyWithLegacySemantics(true),
	jsonv1.StringifyWithLegacySemantics(true),
)

func (jsonCodec) Name() string { return "" }

func (jsonCodec) Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v, optionsFor(v))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return data, nil
}

func (jsonCodec) Unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v, optionsFor(v)); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Rules tells a [Checker] what JSON can carry.
func (jsonCodec) Rules() Rules {
	return Rules{Tags: []string{"json"}, Own: ownJSON}
}

var (
	marshalers = []reflect.Type{
		reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[stdjson.Marshaler](),
		reflect.TypeFor[encoding.TextAppender](), reflect.TypeFor[encoding.TextMarshaler](),
	}
	unmarshalers = []reflect.Type{
		reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[stdjson.Unmarshaler](),
		reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

func ownJSON(t reflect.Type) (writes, reads bool) {
	return implementsAny(t, marshalers), implementsAny(t, unmarshalers)
}

func implementsAny(t reflect.Type, interfaces []reflect.Type) bool {
	for _, i := range interfaces {
		if t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}
