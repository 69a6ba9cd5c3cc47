package rows

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/when"
	"github.com/annals-db/annals/internal/wire"
)

// Templates say what of a row goes where. Each is a text/template over the
// row's columns; what is empty is not set.
type Templates struct {
	Stream, Type string
	Tags         []string
	Metadata     map[string]string
	Data         string // gives JSON. Defaults to an object of all columns as strings
	Time         string // the log's time and that of occurring
	Occurred     string // when it occurred, if not at Time
	ID           string // a UUID, or a text that one is made from

	TimeLayout string         // of Time and Occurred, see when.Row
	Zone       *time.Location // of times that name none. Defaults to UTC
}

// Mapping makes events of rows. It may be used by many goroutines at once.
type Mapping struct {
	Timed bool // whether rows set the log's time

	source           string
	columns          []string
	stream, kind, id expression
	tags             []expression
	metadata         []metadatum
	data             expression
	time, occurred   expression
	layout           string
	zone             *time.Location
	limits           driver.Limits
}

type metadatum struct {
	key   string
	value expression
}

// Mapped is the event of one row.
type Mapped struct {
	Row   Row
	Event driver.Event
	Time  time.Time // for the log, zero if the log is to say
}

// namespace is that of the IDs made from rows.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/annals-db/annals/import"))

// Compile compiles t for a file with these columns. source names the file in
// the IDs of its events; limits are those of the log. The error names the
// template.
func Compile(t Templates, source string, columns []string, limits driver.Limits) (*Mapping, error) {
	m := &Mapping{Timed: t.Time != "", source: source, columns: columns, layout: t.TimeLayout, zone: t.Zone, limits: limits}
	if m.zone == nil {
		m.zone = time.UTC
	}
	var errs []error
	compile := func(name, text string) expression {
		if text == "" {
			return nil
		}
		e, err := templateOf(name, text, columns)
		errs = append(errs, err)
		return e
	}
	m.stream, m.kind, m.id = compile("--stream", t.Stream), compile("--type", t.Type), compile("--id", t.ID)
	m.data, m.time, m.occurred = compile("--data", t.Data), compile("--time", t.Time), compile("--occurred", t.Occurred)
	for _, tag := range t.Tags {
		m.tags = append(m.tags, compile("--tag", tag))
	}
	for _, p := range driver.NewMetadata(t.Metadata) {
		m.metadata = append(m.metadata, metadatum{p.Key, compile("--meta "+p.Key, p.Value)})
	}
	switch {
	case m.kind == nil && t.Type == "":
		errs = append(errs, errors.New("--type is missing: what is the type of the events?"))
	case t.Stream == "" && len(t.Tags) == 0:
		errs = append(errs, errors.New("--stream is missing (or a --tag): what do the events belong to?"))
	}
	return m, errors.Join(errs...)
}

// Map returns the event of row. The error is a *[BadRow].
func (m *Mapping) Map(row Row) (Mapped, error) {
	out := Mapped{Row: row}
	if err := m.fill(&out); err != nil {
		return out, &BadRow{row.Number, row.Line, err.Error(), ""}
	}
	return out, nil
}

func (m *Mapping) fill(out *Mapped) (err error) {
	e, row := &out.Event, &out.Row
	var buf [256]byte
	text := func(x expression) string {
		if x == nil || err != nil {
			return ""
		}
		var b []byte
		b, err = x(buf[:0], row)
		return string(b)
	}
	e.Stream, e.Type = text(m.stream), text(m.kind)
	for _, x := range m.tags {
		if tag := text(x); tag != "" {
			e.Tags = append(e.Tags, tag)
		}
	}
	for _, d := range m.metadata {
		if v := text(d.value); v != "" {
			e.Metadata = append(e.Metadata, driver.Pair{Key: d.key, Value: v})
		}
	}
	at, occurred := text(m.time), text(m.occurred)
	id := text(m.id)
	if err != nil {
		return err
	}
	if err := m.times(out, at, occurred); err != nil {
		return err
	}
	e.ID = m.eventID(id, row.Number)
	if e.Data, err = m.payload(row); err != nil {
		return err
	}
	return m.valid(e)
}

func (m *Mapping) times(out *Mapped, at, occurred string) (err error) {
	if m.time != nil {
		if out.Time, err = when.Row(at, m.layout, m.zone); err != nil {
			return fmt.Errorf("--time: %w", err)
		}
		out.Event.Occurred = out.Time
	}
	if occurred != "" {
		if out.Event.Occurred, err = when.Row(occurred, m.layout, m.zone); err != nil {
			return fmt.Errorf("--occurred: %w", err)
		}
	}
	return nil
}

func (m *Mapping) eventID(text string, number int) driver.ID {
	if text == "" {
		return uuid.NewSHA1(namespace, strconv.AppendInt([]byte(m.source+"\n"), int64(number), 10))
	}
	if id, err := uuid.Parse(text); err == nil && id != (uuid.UUID{}) {
		return id
	}
	return uuid.NewSHA1(namespace, []byte(text))
}

func (m *Mapping) payload(row *Row) ([]byte, error) {
	if m.data == nil {
		return m.allColumns(row)
	}
	text, err := m.data(nil, row)
	if err != nil {
		return nil, err
	}
	v := jsontext.Value(text)
	if !v.IsValid() {
		_, err := wire.CheckData(text)
		return nil, fmt.Errorf("--data gives no JSON (%s): %w", text, err)
	}
	return v, v.Compact()
}

func (m *Mapping) allColumns(row *Row) (data []byte, err error) {
	for i, column := range m.columns {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		if data, err = jsontext.AppendQuote(append(data, sep), column); err == nil {
			data, err = jsontext.AppendQuote(append(data, ':'), row.Fields[i])
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", column, err)
		}
	}
	return append(data, '}'), nil
}

// valid finds what the log would refuse, so that it refuses the row and not
// the batch.
func (m *Mapping) valid(e *driver.Event) error {
	err := driver.Validate(&driver.Batch{Events: []driver.Event{*e}}, m.limits)
	var invalid *driver.InvalidError
	var limit *driver.LimitError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: %s", invalid.Field, invalid.Reason)
	case errors.As(err, &limit):
		return fmt.Errorf("%d %s, over the log's limit of %d", limit.Got, limit.What, limit.Limit)
	}
	return err
}
