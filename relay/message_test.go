package relay_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
)

func messages() map[string]relay.Message {
	full := driver.Record{
		Event: driver.Event{ID: uuid.MustParse("00000000-0000-4000-8000-000000000004"), Stream: "item-1", Type: "Moved", Data: []byte(`{"n":9007199254740993,"s":"<ü>"}`),
			Tags: []string{"a:b", "c:d,e"}, Metadata: driver.NewMetadata(map[string]string{"actor": "ann", "correlation": "c1", "causation": "c2", "other": "x"}),
			Occurred: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
		Position: 17, Version: 3, Time: time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC),
	}
	bare := driver.Record{Event: driver.Event{ID: full.ID, Type: "T", Tags: []string{"a:b"}}, Position: 1, Time: full.Time}
	binary := full
	binary.Data, binary.Encoding = []byte{0xa1, 0x00, 0xff}, "cbor"
	packed := binary
	packed.Encoding = "json+zstd"
	out := map[string]relay.Message{}
	for name, r := range map[string]driver.Record{"full": full, "bare": bare, "binary": binary, "packed": packed} {
		out[name] = relay.Message{ID: "17", Log: uuid.MustParse("00000000-0000-4000-8000-000000000001"), Key: "item-1", Source: "urn:uuid:log", Record: r}
	}
	return out
}

// The judge is the SDK of CloudEvents.
func TestAMessageIsACloudEventInBothModes(t *testing.T) {
	for name, m := range messages() {
		t.Run(name, func(t *testing.T) {
			text, err := m.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var structured event.Event
			if err := json.Unmarshal(text, &structured); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			examineMessage(t, &m, &structured)

			r, err := http.NewRequest(http.MethodPost, "http://host", strings.NewReader(string(m.Record.Data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range m.Attributes() {
				r.Header.Set("ce-"+a.Name, a.Value)
			}
			r.Header.Set("content-type", m.ContentType())
			binary, err := binding.ToEvent(t.Context(), cehttp.NewMessageFromHttpRequest(r))
			if err != nil {
				t.Fatal(err)
			}
			examineMessage(t, &m, binary)
		})
	}
}

func examineMessage(t *testing.T, m *relay.Message, e *event.Event) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Errorf("%v\n%s", err, e)
	}
	r := &m.Record
	if e.ID() != m.ID || e.Source() != m.Source || e.Type() != r.Type || e.Subject() != r.Stream || !e.Time().Equal(r.Time) || string(e.Data()) != string(r.Data) || e.DataContentType() != m.ContentType() {
		t.Errorf("it is\n%s", e)
	}
	want := map[string]string{"partitionkey": m.Key, "eventid": r.ID.String(), "actor": r.Metadata.Value("actor"), "correlationid": r.Metadata.Value("correlation"), "causationid": r.Metadata.Value("causation"), "encoding": r.Encoding}
	for name, v := range want {
		got, _ := e.Extensions()[name].(string)
		if got != v {
			t.Errorf("%s is %q, want %q", name, got, v)
		}
	}
	if e.Extensions()["other"] != nil {
		t.Error("metadata that is nobody's business was published")
	}
}
