package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
)

// plainJSON is what "encoding" says of a JSON payload that is written as base64.
const plainJSON = "json"

// AppendRecord appends r as one JSON object without a line break.
func AppendRecord(dst []byte, r *driver.Record) []byte {
	dst = append(dst, `{"position":`...)
	dst = strconv.AppendUint(dst, uint64(r.Position), 10)
	if r.Stream != "" {
		dst = append(dst, `,"stream":`...)
		dst = appendString(dst, r.Stream)
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendUint(dst, r.Version, 10)
	}
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, r.Type)
	dst = append(dst, `,"id":`...)
	dst = appendID(dst, r.ID)
	dst = append(dst, `,"time":`...)
	dst = appendTime(dst, r.Time)
	dst = appendOccurred(dst, r.Occurred)
	dst = append(dst, `,"batch":`...)
	dst = strconv.AppendUint(dst, uint64(r.Batch), 10)
	dst = appendContent(dst, &r.Event)
	if len(r.Conditions) > 0 {
		dst = append(dst, `,"conditions":`...)
		dst = AppendConditions(dst, r.Conditions)
	}
	return append(dst, '}')
}

// AppendEvent appends e as one JSON object without a line break, in the form
// that [ParseInput] reads.
func AppendEvent(dst []byte, e *driver.Event) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, e.Type)
	if e.Stream != "" {
		dst = append(dst, `,"stream":`...)
		dst = appendString(dst, e.Stream)
	}
	dst = append(dst, `,"id":`...)
	dst = appendID(dst, e.ID)
	dst = appendOccurred(dst, e.Occurred)
	dst = appendContent(dst, e)
	return append(dst, '}')
}

// AppendReceipt appends the receipt of the i-th event of the batch that rc answers.
func AppendReceipt(dst []byte, rc *driver.Receipt, i int, e *driver.Event) []byte {
	dst = append(dst, `{"position":`...)
	dst = strconv.AppendUint(dst, uint64(rc.First)+uint64(i), 10)
	if e.Stream != "" {
		dst = append(dst, `,"stream":`...)
		dst = appendString(dst, e.Stream)
		if i < len(rc.Versions) {
			dst = append(dst, `,"version":`...)
			dst = strconv.AppendUint(dst, rc.Versions[i], 10)
		}
	}
	dst = append(dst, `,"id":`...)
	dst = appendID(dst, e.ID)
	dst = append(dst, `,"durability":`...)
	dst = appendString(dst, rc.Durability)
	if rc.Repeated {
		dst = append(dst, `,"repeated":true`...)
	}
	return append(dst, '}')
}

func appendOccurred(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return appendTime(append(dst, `,"occurred":`...), t)
}

// appendContent appends tags, data and metadata, each after a comma.
func appendContent(dst []byte, e *driver.Event) []byte {
	if len(e.Tags) > 0 {
		dst = append(dst, `,"tags":`...)
		dst = appendStrings(dst, e.Tags)
	}
	dst = appendData(dst, e)
	if len(e.Metadata) > 0 {
		dst = append(dst, `,"metadata":`...)
		dst = AppendMetadata(dst, e.Metadata)
	}
	return dst
}

// AppendMetadata appends m as one JSON object.
func AppendMetadata(dst []byte, m driver.Metadata) []byte {
	dst = append(dst, '{')
	for i, p := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, p.Key)
		dst = append(dst, ':')
		dst = appendString(dst, p.Value)
	}
	return append(dst, '}')
}

func appendData(dst []byte, e *driver.Event) []byte {
	if e.Encoding == "" && fitsLine(e.Data) {
		return append(append(dst, `,"data":`...), e.Data...)
	}
	encoding := e.Encoding
	if encoding == "" {
		encoding = plainJSON
	}
	dst = append(dst, `,"encoding":`...)
	dst = appendString(dst, encoding)
	dst = append(dst, `,"data":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.Data)
	return append(dst, '"')
}

// fitsLine reports whether data stands in a line as it is and reads back as
// the same bytes: strict JSON with nothing around it and no line break.
func fitsLine(data []byte) bool {
	return len(data) > 0 && data[0] > ' ' && data[len(data)-1] > ' ' &&
		bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 &&
		jsontext.Value(data).IsValid()
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

// appendString appends s quoted. Invalid UTF-8, which no store takes, becomes
// replacement characters.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			dst, _ = jsontext.AppendQuote(dst, s)
			return dst
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func appendID(dst []byte, id driver.ID) []byte {
	dst = append(dst, '"')
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return append(dst, '"')
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}
