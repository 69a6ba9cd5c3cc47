package codec

import (
	stdjson "encoding/json"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func checkString(v reflect.Value, _ int) *fault {
	if s := v.String(); !utf8.ValidString(s) {
		return &fault{reason: "it is not valid UTF-8"}
	} else if strings.IndexByte(s, 0) >= 0 {
		return &fault{reason: "it has a NUL, which not every store can keep in text"}
	}
	return nil
}

func checkFloat(v reflect.Value, _ int) *fault {
	if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
		return &fault{reason: "it is " + map[bool]string{true: "NaN", false: "infinite"}[math.IsNaN(f)] + ", which JSON has no number for"}
	}
	return nil
}

func checkFloatKey(v reflect.Value, _ int) *fault {
	if math.IsNaN(v.Float()) {
		return &fault{reason: "it is NaN, which equals no key"}
	}
	return nil
}

var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

func checkTime(v reflect.Value, _ int) *fault {
	if !v.CanInterface() {
		return nil
	}
	t, _ := reflect.TypeAssert[time.Time](v)
	_, offset := t.Zone()
	if s := t.Unix() + int64(offset); s < firstTime || s > lastTime {
		return &fault{reason: "its year is not between 0 and 9999"}
	}
	if offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		return &fault{reason: "its offset from UTC is not in whole minutes under a day"}
	}
	return nil
}

func checkRaw(v reflect.Value, _ int) *fault {
	raw := v.Bytes()
	if raw == nil {
		return nil
	}
	if !jsontext.Value(raw).IsValid() {
		return &fault{reason: "it is not one valid JSON value with every key once"}
	}
	return nil
}

func checkNumber(v reflect.Value, _ int) *fault {
	n := v.String()
	if n == "" {
		return &fault{reason: `it is an empty number, which comes back as "0"`}
	}
	if c := n[0]; c != '-' && (c < '0' || c > '9') || !stdjson.Valid([]byte(n)) || strings.TrimSpace(n) != n {
		return &fault{reason: "it is not a JSON number"}
	}
	return nil
}
