package codec_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/codec/cbor"
	"github.com/annals-db/annals/codec/zstd"
)

func ExampleStack() {
	compress, err := zstd.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := codec.Stack(cbor.Codec, compress)

	type Noted struct{ Text string }
	data, err := p.Encode(Noted{strings.Repeat("rain ", 100)}, codec.Envelope{})
	fmt.Println(p.Name(), len(data) < 100, err)

	var back Noted
	err = p.Decode(data, codec.Envelope{}, &back)
	fmt.Println(len(back.Text), err)
	// Output:
	// cbor+zstd true <nil>
	// 500 <nil>
}

func ExampleParse() {
	_, err := codec.Parse("cbor", []codec.Codec{cbor.Codec}, nil)
	fmt.Println(err)
	_, err = codec.Parse("cbor+zstd", []codec.Codec{cbor.Codec}, nil)
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

func ExampleNewChecker() {
	type Measured struct{ Values []float64 }
	c, err := codec.NewChecker(reflect.TypeFor[Measured](), codec.JSON)
	fmt.Println(err)
	fmt.Println(c.Value(Measured{[]float64{1, math.NaN()}}))
	// Output:
	// <nil>
	// Measured.Values[1] cannot be kept: it is NaN, which JSON has no number for
}
