// Package cbor is the binary codec: CBOR (RFC 8949) in its core deterministic
// form, so that equal events are equal bytes. Use [Codec] wherever a
// codec.Codec is asked for.
//
// It reads struct tags "cbor", and "json" where there is none; calls
// MarshalCBOR, MarshalBinary and MarshalText with their counterparts; writes
// times as RFC 3339 text with nanoseconds and durations as nanoseconds. NaN
// and the infinities survive, as do nil and empty slices and maps. A key given
// twice, a text that is not UTF-8 and an item of indefinite length are errors.
package cbor

import (
	"encoding"
	"fmt"
	"reflect"

	"github.com/annals-db/annals/codec"
	"github.com/fxamacker/cbor/v2"
)

// Codec encodes events as CBOR. Its name is "cbor".
var Codec codec.Ruled = newCodec()

type cborCodec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// maxItems is above what fits an event: every item takes a byte at least, and
// the library looks at the form of the whole before it allocates.
const maxItems = 1 << 26

func newCodec() *cborCodec {
	e := cbor.CoreDetEncOptions()
	e.Time = cbor.TimeRFC3339Nano
	e.OmitEmpty = cbor.OmitEmptyGoValue
	e.TextMarshaler = cbor.TextMarshalerTextString
	enc, encErr := e.EncMode()
	dec, decErr := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  1000,
		MaxArrayElements: maxItems,
		MaxMapPairs:      maxItems,
		TextUnmarshaler:  cbor.TextUnmarshalerTextString,
	}.DecMode()
	if encErr != nil || decErr != nil {
		panic(fmt.Sprint("cbor: the options are fixed, and refused: ", encErr, decErr))
	}
	return &cborCodec{enc, dec}
}

func (*cborCodec) Name() string { return "cbor" }

func (c *cborCodec) Marshal(v any) ([]byte, error) {
	data, err := c.enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return data, nil
}

func (c *cborCodec) Unmarshal(data []byte, v any) error {
	if err := c.dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Rules tells a codec.Checker what CBOR can carry.
func (*cborCodec) Rules() codec.Rules {
	return codec.Rules{Tags: []string{"cbor", "json"}, Own: ownForm, AnyFloat: true, AnyKey: true}
}

// ownForms are the pairs of methods by which a type brings its own form, in
// the order the library looks for them.
var ownForms = [][2]reflect.Type{
	{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler]()},
	{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()},
	{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
}

func ownForm(t reflect.Type) (writes, reads bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, form := range ownForms {
		writes, reads = reflect.PointerTo(t).Implements(form[0]), reflect.PointerTo(t).Implements(form[1])
		if writes || reads {
			return writes, reads
		}
	}
	return false, false
}
