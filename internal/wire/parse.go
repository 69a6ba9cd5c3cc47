package wire

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
)

// Input is an event as it is handed in to be appended.
type Input struct {
	driver.Event          // its ID is zero where none is given
	ExpectVersion *uint64 // the version its stream must be at, nil for any
}

// Conditions returns what in requires of the log.
func (in *Input) Conditions() []driver.Condition {
	if in.ExpectVersion == nil {
		return nil
	}
	return []driver.Condition{driver.StreamAt(in.Stream, *in.ExpectVersion)}
}

// Imported is a record as a file holds it. What the file leaves out is zero.
type Imported struct {
	driver.Record
	Line int
}

// Parser reads lines one after the other. It is for one goroutine.
type Parser struct{ p *parser }

// NewParser returns a parser.
func NewParser() *Parser { return &Parser{newParser()} }

const inputFields = `"stream", "type", "data", "encoding", "tags", "metadata", "id", "occurred", "expect_version"`

// Input reads an event from text, which is line number line of its source (0
// for none). text may be reused afterwards. The error is an *[Error].
func (ps *Parser) Input(text []byte, line int) (Input, error) {
	p := ps.p
	p.reset(text, line)
	var (
		in       Input
		c        content
		expected uint64
	)
	p.object(func(name string) {
		switch name {
		case "expect_version":
			expected = p.uint()
			in.ExpectVersion = &expected
		case "position", "version", "time", "batch", "conditions":
			p.fail("the log sets it; to load a file of records use import jsonl")
		default:
			if !c.member(p, &in.Event, name) {
				p.unknown(name, inputFields)
			}
		}
	})
	p.end()
	c.finish(p, &in.Event)
	if p.err == nil && in.ExpectVersion != nil && in.Stream == "" {
		p.err = &Error{line, "expect_version", 0, "the event names no stream"}
	}
	return in, p.failure()
}

// Record reads a record from text likewise. Only type and data need be there.
func (ps *Parser) Record(text []byte, line int) (Imported, error) {
	p := ps.p
	p.reset(text, line)
	r := Imported{Line: line}
	var c content
	p.object(func(name string) {
		switch name {
		case "position":
			r.Position = driver.Position(p.uint())
		case "version":
			r.Version = p.uint()
		case "time":
			r.Time = p.time()
		case "batch":
			r.Batch = driver.Position(p.uint())
		case "conditions":
			p.array(func() { r.Conditions = append(r.Conditions, p.condition()) })
		default:
			if !c.member(p, &r.Event, name) {
				p.unknown(name, inputFields[:len(inputFields)-len(`, "expect_version"`)]+`, "position", "version", "time", "batch", "conditions"`)
			}
		}
	})
	p.end()
	c.finish(p, &r.Event)
	return r, p.failure()
}

// Metadata reads what [AppendMetadata] wrote.
func (ps *Parser) Metadata(text []byte) (driver.Metadata, error) {
	p := ps.p
	p.reset(text, 0)
	m := p.metadata()
	p.end()
	return m, p.failure()
}

// Conditions reads what [AppendConditions] wrote.
func (ps *Parser) Conditions(text []byte) (all []driver.Condition, err error) {
	p := ps.p
	p.reset(text, 0)
	p.array(func() { all = append(all, p.condition()) })
	p.end()
	return all, p.failure()
}

// content gathers what an event and a record have in common.
type content struct {
	data     []byte
	encoding *string
}

func (c *content) member(p *parser, e *driver.Event, name string) bool {
	switch name {
	case "stream":
		e.Stream = p.str()
	case "type":
		e.Type = p.str()
	case "id":
		e.ID = p.id()
	case "occurred":
		e.Occurred = p.time()
	case "tags":
		e.Tags = p.strings()
	case "metadata":
		e.Metadata = p.metadata()
	case "data":
		c.data = p.value()
	case "encoding":
		s := p.str()
		c.encoding = &s
	default:
		return false
	}
	return true
}

func (c *content) finish(p *parser, e *driver.Event) {
	if p.err == nil && e.Type == "" {
		p.err = &Error{p.line, "type", 0, "it is missing or empty"}
	}
	p.payload(e, c.encoding, c.data)
}

// CheckData returns data as the payload of an event, without the space around
// it, if it is one strict JSON value, else an *[Error] whose Field begins with
// "data". Line breaks between its parts are taken out, so that it fits a line.
func CheckData(data []byte) ([]byte, error) {
	data = bytes.TrimSpace(data)
	p := newParser()
	p.reset(bytes.Clone(data), 0)
	p.value()
	p.end()
	if p.err != nil {
		if p.err.Field != "" {
			p.err.Field = "data." + p.err.Field
		} else {
			p.err.Field = "data"
		}
		p.err.Reason = fmt.Sprintf("%s (byte %d)", p.err.Reason, p.err.Offset+1)
		return nil, p.err
	}
	if bytes.ContainsAny(data, "\r\n") {
		v := jsontext.Value(bytes.Clone(data))
		if err := v.Compact(jsontext.PreserveRawStrings(true), jsontext.CanonicalizeRawInts(false)); err != nil {
			return nil, &Error{0, "data", 0, err.Error()}
		}
		return v, nil
	}
	return data, nil
}
