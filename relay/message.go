package relay

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/annals-db/annals/driver"
)

// Message is an event on its way to a [Sink].
type Message struct {
	// ID is the event's position in the log, the same each time it is
	// published. With Log it is unique among all logs.
	ID     string
	Log    driver.ID
	Relay  string // the relay's name
	Key    string // messages of one key are published in order
	Source string // of the CloudEvent
	Record driver.Record
}

// Attribute is a context attribute of a CloudEvent, by its name in the
// specification.
type Attribute struct{ Name, Value string }

// MessageID is the relay's name, the log's ID and the position, for brokers that
// drop repeats by one name: "orders-0198f0c4-…-17". Two relays that publish
// one event to one place do so with two.
func (m *Message) MessageID() string { return m.Relay + "-" + m.Log.String() + "-" + m.ID }

// ContentType is the media type of the event's data.
func (m *Message) ContentType() string {
	switch m.Record.Encoding {
	case "":
		return "application/json"
	case "cbor":
		return "application/cbor"
	}
	return "application/octet-stream"
}

// Attributes are the attributes of m as a CloudEvent (version 1.0) but for the
// content type, for the binary content mode, in which the data are the body:
//
//	specversion id source type subject(stream) time
//	sequence        the position, 20 digits, so that text sorts as it does
//	partitionkey    the key
//	eventid         the event's ID
//	streamversion   the version within the stream
//	occurred        when it happened, if that is another time
//	encoding        of the data, if it is not JSON
//	tags            a JSON array, if there are any
//	actor correlationid causationid   of the metadata, if it has them
func (m *Message) Attributes() []Attribute {
	r := &m.Record
	a := []Attribute{
		{"specversion", "1.0"}, {"id", m.ID}, {"source", m.Source}, {"type", r.Type},
	}
	add := func(name, value string) {
		if value != "" {
			a = append(a, Attribute{name, value})
		}
	}
	add("subject", r.Stream)
	add("time", r.Time.UTC().Format(time.RFC3339Nano))
	add("sequence", sequence(r.Position))
	add("partitionkey", m.Key)
	add("eventid", r.ID.String())
	if r.Version > 0 {
		add("streamversion", strconv.FormatUint(r.Version, 10))
	}
	if !r.Occurred.IsZero() && !r.Occurred.Equal(r.Time) {
		add("occurred", r.Occurred.UTC().Format(time.RFC3339Nano))
	}
	add("encoding", r.Encoding)
	if len(r.Tags) > 0 {
		tags, _ := json.Marshal(r.Tags) // strings cannot fail
		add("tags", string(tags))
	}
	add("actor", r.Metadata.Value("actor"))
	add("correlationid", r.Metadata.Value("correlation"))
	add("causationid", r.Metadata.Value("causation"))
	return a
}

func sequence(p driver.Position) string {
	s := strconv.FormatUint(uint64(p), 10)
	return "00000000000000000000"[len(s):] + s
}

// MarshalJSON returns m as a CloudEvent in the structured content mode, the
// media type of which is "application/cloudevents+json".
func (m *Message) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	field := func(name string, value any) error {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, name), ':')
		text, err := json.Marshal(value)
		b = append(b, text...)
		return err
	}
	for _, a := range append(m.Attributes(), Attribute{"datacontenttype", m.ContentType()}) {
		if err := field(a.Name, a.Value); err != nil {
			return nil, err
		}
	}
	switch data := m.Record.Data; {
	case len(data) == 0:
	case m.Record.Encoding == "" && json.Valid(data):
		b = append(append(b, `,"data":`...), data...)
	default:
		if err := field("data_base64", data); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
