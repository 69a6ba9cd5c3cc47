package cbor

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/annals-db/annals/codec"
	"github.com/google/uuid"
)

type line struct {
	SKU   string `json:"sku"`
	Count int
	Price float64
}

type event struct {
	Order  string `cbor:"order" json:"ignored"`
	Lines  []line
	Labels map[string]int
	Ints   map[int]string
	Placed time.Time
	Due    *time.Time `json:"due,omitempty"`
	Wait   time.Duration
	Total  big.Int
	ID     uuid.UUID
	Addr   netip.Addr
	Hash   [2]byte
	Bytes  []byte
	Max    uint64
	Min    int64
	F32    float32
	Weird  []float64
	None   []int
	Empty  []int
}

func sample() event {
	return event{
		Order: "o-1", Lines: []line{{"laptop", 1, 0.1}}, Labels: map[string]int{"b": 2, "a": 1, "": 0}, Ints: map[int]string{-1: "x", 300: "y"},
		Placed: time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC), Wait: time.Minute, Total: *new(big.Int).Lsh(big.NewInt(-3), 80),
		ID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), Addr: netip.MustParseAddr("10.0.0.1"), Hash: [2]byte{1, 2}, Bytes: []byte{},
		Max: math.MaxUint64, Min: math.MinInt64, F32: math.MaxFloat32, Weird: []float64{math.Inf(1), math.SmallestNonzeroFloat64, math.Copysign(0, -1)}, Empty: []int{},
	}
}

func TestAnEventComesBackAsItWas(t *testing.T) {
	v := sample()
	data, err := Codec.Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	var back event
	if err := Codec.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, back) {
		t.Errorf("came back as %+v", back)
	}
	checker, err := codec.NewChecker(reflect.TypeFor[event](), Codec)
	if err != nil {
		t.Fatal(err)
	}
	if err := checker.Value(v); err != nil {
		t.Error(err)
	}
	for range 20 {
		if again, _ := Codec.Marshal(v); !bytes.Equal(again, data) {
			t.Fatal("the same event was written in two ways")
		}
	}
}

// level has a text form and nothing else.
type level struct{ n int }

func (l level) MarshalText() ([]byte, error)  { return []byte{'0' + byte(l.n)}, nil }
func (l *level) UnmarshalText(b []byte) error { l.n = int(b[0] - '0'); return nil }

func TestTextFormsAndPointersToZeroComeBack(t *testing.T) {
	type event struct {
		L level
		S *string `json:",omitempty"`
		N *int    `cbor:",omitempty"`
	}
	empty, zero := "", 0
	v := event{level{7}, &empty, &zero}
	if _, err := codec.NewChecker(reflect.TypeFor[event](), Codec); err != nil {
		t.Fatal(err)
	}
	data, err := Codec.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back event
	if err := Codec.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(v, back) {
		t.Errorf("%x came back as %+v, %v", data, back, err)
	}
}

func TestKeysOfEveryBasicKindComeBack(t *testing.T) {
	type event struct {
		F map[float64]int
		B map[bool]string
		U map[uint8]int
	}
	checker, err := codec.NewChecker(reflect.TypeFor[event](), Codec)
	if err != nil {
		t.Fatal(err)
	}
	v := event{map[float64]int{0.1: 1, math.Inf(-1): 2, 3: 3}, map[bool]string{true: "yes", false: "no"}, map[uint8]int{255: 1}}
	if err := checker.Value(v); err != nil {
		t.Fatal(err)
	}
	data, err := Codec.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back event
	if err := Codec.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(v, back) {
		t.Errorf("%x came back as %+v, %v", data, back, err)
	}
	if err := checker.Value(event{F: map[float64]int{math.NaN(): 1}}); err == nil {
		t.Error("a key that equals none was accepted")
	}
}

func TestGolden(t *testing.T) {
	// {"sku": "a", "Count": 3, "Price": 1.5}: keys in bytewise order, the shortest float.
	const want = "a3" + "63736b75" + "6161" + "65436f756e74" + "03" + "655072696365" + "f93e00"
	data, err := Codec.Marshal(line{"a", 3, 1.5})
	if err != nil {
		t.Fatal(err)
	}
	var got line
	if err := Codec.Unmarshal(data, &got); err != nil || got != (line{"a", 3, 1.5}) {
		t.Errorf("%+v, %v", got, err)
	}
	if hex.EncodeToString(data) != want {
		t.Errorf("encoded %x, want %s", data, want)
	}
}

func TestDamagedInputIsAnError(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":           "",
		"a key given twice": "a263736b75616163736b756162",
		"invalid UTF-8":     "a163736b7561ff",
		"indefinite length": "bf63736b756161ff",
		"cut short":         "a163736b75",
		"something after":   "a000",
		"too large a count": "a165436f756e741bffffffffffffffff",
	} {
		data, _ := hex.DecodeString(in)
		var l line
		if err := Codec.Unmarshal(data, &l); err == nil {
			t.Errorf("%s: decoded as %+v", name, l)
		}
	}
}

func TestOwnFormsMustBePaired(t *testing.T) {
	if _, err := codec.NewChecker(reflect.TypeFor[struct{ H half }](), Codec); err == nil {
		t.Error("a type with MarshalBinary and no UnmarshalBinary was accepted")
	}
}

type half struct{ N int }

func (half) MarshalBinary() ([]byte, error) { return []byte{1}, nil }

func FuzzUnmarshal(f *testing.F) {
	data, _ := Codec.Marshal(sample())
	f.Add(data)
	f.Add([]byte{0xa1, 0x63, 's', 'k', 'u', 0x61, 'a'})
	f.Fuzz(func(t *testing.T, data []byte) {
		var v event
		if Codec.Unmarshal(data, &v) != nil {
			return
		}
		again, err := Codec.Marshal(v)
		if err != nil {
			return // a time of a year that has no text
		}
		var back event
		if err := Codec.Unmarshal(again, &back); err != nil {
			t.Fatalf("%+v was encoded as %x, which is not decoded: %v", v, again, err)
		}
	})
}
