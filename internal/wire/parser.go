package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// Error says which field of which line cannot be read.
type Error struct {
	Line   int    // from 1, 0 where there are no lines
	Field  string // "data.price", "tags[2]", "" where it is the line as a whole
	Offset int64  // of the byte in the line
	Reason string
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, byte %d: ", e.Line, e.Offset+1)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, "field %s: ", e.Field)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// parser reads one JSON value. Its first error is kept; what is read after it
// is of no use.
type parser struct {
	dec  *jsontext.Decoder
	buf  bytes.Buffer
	line int
	err  *Error
}

func newParser() *parser {
	p := &parser{}
	p.dec = jsontext.NewDecoder(&p.buf)
	return p
}

// reset begins with text, which must not change until it is read.
func (p *parser) reset(text []byte, line int) {
	p.buf = *bytes.NewBuffer(text)
	p.dec.Reset(&p.buf)
	p.line, p.err = line, nil
}

func (p *parser) failure() error {
	if p.err == nil {
		return nil
	}
	return p.err
}

// fail notes reason at the place just read.
func (p *parser) fail(reason string) {
	if p.err == nil {
		p.err = &Error{p.line, field(p.dec.StackPointer()), p.dec.InputOffset(), reason}
	}
}

func (p *parser) unknown(name, known string) {
	p.fail(fmt.Sprintf("%q is not known here; there are %s", name, known))
}

// syntax notes an error of the decoder.
func (p *parser) syntax(err error) {
	if p.err != nil {
		return
	}
	var s *jsontext.SyntacticError
	switch {
	case errors.As(err, &s):
		p.err = &Error{p.line, field(s.JSONPointer), s.ByteOffset, "invalid JSON: " + reason(s.Err)}
	case errors.Is(err, io.EOF):
		p.err = &Error{p.line, "", p.dec.InputOffset(), "there is no JSON value"}
	default:
		p.err = &Error{p.line, "", p.dec.InputOffset(), err.Error()}
	}
}

func reason(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends in the middle"
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "the field is given twice"
	case strings.Contains(err.Error(), "invalid character 'N'"):
		return err.Error() + " (NaN is not JSON)"
	}
	return err.Error()
}

// field turns a JSON pointer into the dotted form that people write.
func field(p jsontext.Pointer) string {
	var b strings.Builder
	for t := range p.Tokens() {
		if _, err := strconv.ParseUint(t, 10, 32); err == nil && b.Len() > 0 {
			b.WriteString("[" + t + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(t)
	}
	return b.String()
}

func (p *parser) token(want jsontext.Kind, what string) (jsontext.Token, bool) {
	if p.err != nil {
		return jsontext.Token{}, false
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		p.syntax(err)
		return t, false
	}
	if t.Kind() != want {
		p.fail("it must be " + what)
		return t, false
	}
	return t, true
}

// object reads an object, calling member for each name; member reads the value.
func (p *parser) object(member func(name string)) {
	if _, ok := p.token('{', "an object"); !ok {
		return
	}
	for p.err == nil && p.dec.PeekKind() != '}' {
		if t, ok := p.token('"', "a name"); ok {
			member(t.String())
		}
	}
	p.token('}', "the object's end")
}

func (p *parser) array(element func()) {
	if _, ok := p.token('[', "an array"); !ok {
		return
	}
	for p.err == nil && p.dec.PeekKind() != ']' {
		element()
	}
	p.token(']', "the array's end")
}

// end requires that nothing follows.
func (p *parser) end() {
	if p.err != nil {
		return
	}
	if _, err := p.dec.ReadToken(); err == nil {
		p.err = &Error{p.line, "", p.dec.InputOffset(), "something follows the JSON value; each line holds one"}
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
	}
}

func (p *parser) str() string {
	t, ok := p.token('"', "a string")
	if !ok {
		return ""
	}
	return t.String()
}

func (p *parser) strings() (list []string) {
	p.array(func() { list = append(list, p.str()) })
	return list
}

func (p *parser) bool() bool {
	if p.err != nil {
		return false
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		p.syntax(err)
		return false
	}
	if k := t.Kind(); k != 't' && k != 'f' {
		p.fail("it must be true or false")
		return false
	}
	return t.Bool()
}

func (p *parser) uint() uint64 {
	t, ok := p.token('0', "a whole number from 0")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(t.String(), 10, 64)
	if err != nil {
		p.fail(fmt.Sprintf("%s is not a whole number from 0 to 18446744073709551615", t.String()))
	}
	return n
}

func (p *parser) id() driver.ID {
	s := p.str()
	if p.err != nil {
		return driver.ID{}
	}
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		p.fail(fmt.Sprintf("%q is not a UUID", s))
	}
	return id
}

func (p *parser) time() time.Time {
	s := p.str()
	if p.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		p.fail(fmt.Sprintf("%q is not a time as RFC 3339 writes it, such as 2026-01-02T03:04:05Z", s))
	}
	return t.UTC()
}

func (p *parser) metadata() driver.Metadata {
	m := map[string]string{}
	p.object(func(name string) { m[name] = p.str() })
	return driver.NewMetadata(m)
}

// value reads any value and returns a copy of its bytes.
func (p *parser) value() []byte {
	if p.err != nil {
		return nil
	}
	v, err := p.dec.ReadValue()
	if err != nil {
		p.syntax(err)
		return nil
	}
	return bytes.Clone(v)
}

// payload turns the value read as "data" into the payload that encoding says.
func (p *parser) payload(e *driver.Event, encoding *string, data []byte) {
	if p.err != nil {
		return
	}
	if data == nil {
		p.err = &Error{p.line, "data", 0, "it is missing"}
		return
	}
	if encoding == nil {
		e.Data = data
		return
	}
	var text []byte
	var err error
	if text, err = jsontext.AppendUnquote(nil, data); err == nil {
		e.Data, err = base64.StdEncoding.Strict().AppendDecode([]byte{}, text)
	}
	if err != nil {
		p.err = &Error{p.line, "data", 0, "with an encoding it must be a string of base64: " + err.Error()}
	}
	if e.Encoding = *encoding; *encoding == plainJSON {
		e.Encoding = ""
	} else if *encoding == "" {
		p.err = &Error{p.line, "encoding", 0, "it is empty"}
	}
}
