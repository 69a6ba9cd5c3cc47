package jsonlibs

import (
	stdjson "encoding/json"
	"reflect"
	"testing"

	"github.com/bytedance/sonic"
	expjson "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
	goccy "github.com/goccy/go-json"
)

type library struct {
	name      string
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
}

var options = expjson.JoinOptions(
	expjson.Deterministic(true), expjson.FormatNilSliceAsNull(true), expjson.FormatNilMapAsNull(true),
	jsonv1.FormatDurationAsNano(true), jsonv1.OmitEmptyWithLegacySemantics(true), jsonv1.StringifyWithLegacySemantics(true), expjson.MatchCaseInsensitiveNames(true),
)

// chosen is what codec.JSON is.
const chosen = "json-experiment-options"

var sonicStd = sonic.ConfigStd

func libraries() []library {
	return []library{
		{"encoding-json", stdjson.Marshal, stdjson.Unmarshal},
		{"json-experiment", func(v any) ([]byte, error) { return expjson.Marshal(v, expjson.Deterministic(true)) }, func(b []byte, v any) error { return expjson.Unmarshal(b, v) }},
		{chosen, func(v any) ([]byte, error) { return expjson.Marshal(v, options) }, func(b []byte, v any) error { return expjson.Unmarshal(b, v, options) }},
		{"json-experiment-v1", jsonv1.Marshal, jsonv1.Unmarshal},
		{"goccy", goccy.Marshal, goccy.Unmarshal},
		{"sonic-std", sonicStd.Marshal, sonicStd.Unmarshal},
		{"sonic-default", sonic.Marshal, sonic.Unmarshal},
	}
}

var events = []struct {
	name  string
	value any
}{{"small", SmallEvent}, {"nested", NestedEvent}, {"1KB", KilobyteEvent}}

func BenchmarkDecode(b *testing.B) {
	for _, e := range events {
		data, err := stdjson.Marshal(e.value)
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range libraries() {
			b.Run(e.name+"/"+l.name, func(b *testing.B) {
				typ := reflect.TypeOf(e.value)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					v := reflect.New(typ)
					if err := l.unmarshal(data, v.Interface()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, e := range events {
		for _, l := range libraries() {
			b.Run(e.name+"/"+l.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := l.marshal(e.value); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
