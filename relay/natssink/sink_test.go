package natssink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/natssink"
)

// start starts a NATS server with a stream for events.>.
func start(t *testing.T, config jetstream.StreamConfig) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the NATS server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config.Name, config.Subjects = "EVENTS", []string{"events.>"}
	stream, err := js.CreateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return js, stream
}

func appendEvent(t *testing.T, log driver.Log, stream, data string) {
	t.Helper()
	e := driver.Event{ID: uuid.New(), Stream: stream, Type: "Stock Moved", Data: []byte(data), Metadata: driver.NewMetadata(map[string]string{"actor": "ann"})}
	if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

// received returns what the stream holds.
func received(t *testing.T, stream jetstream.Stream) (out []*jetstream.RawStreamMsg) {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= info.State.LastSeq; n++ {
		m, err := stream.GetMsg(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestEventsAreInTheStreamInOrderPerKeyAndRepeatsAreDropped(t *testing.T) {
	js, stream := start(t, jetstream.StreamConfig{})
	log := memstore.New(nil)
	for i := range 300 {
		appendEvent(t, log, fmt.Sprintf("item-%d", i%7), fmt.Sprintf(`{"n":%d}`, i))
	}
	for range 2 { // the second knows nothing of the first, as after a crash
		state := memstore.New(nil).State()
		r, err := relay.New(log, "out", natssink.New(js, nil), &relay.Options{State: state})
		if err != nil {
			t.Fatal(err)
		}
		if at, err := r.Drain(t.Context()); at != 300 || err != nil {
			t.Fatalf("at %d, %v", at, err)
		}
	}
	got := received(t, stream)
	if len(got) != 300 {
		t.Errorf("%d messages, want 300", len(got))
	}
	last := map[string]string{}
	for _, m := range got {
		key, sequence := m.Header.Get("ce-subject"), m.Header.Get("ce-sequence")
		if sequence <= last[key] {
			t.Errorf("of %s, %s comes behind %s", key, sequence, last[key])
		}
		last[key] = sequence
	}
	m := got[0]
	if !strings.HasPrefix(string(m.Data), `{"n":`) || m.Subject != "events.item.Stock_Moved" || m.Header.Get("content-type") != "application/json" ||
		m.Header.Get("ce-type") != "Stock Moved" || m.Header.Get("ce-actor") != "ann" || m.Header.Get("ce-specversion") != "1.0" {
		t.Errorf("the first message is %s to %s with %v", m.Data, m.Subject, m.Header)
	}
}

func TestStructuredMessagesAreTheWholeEvent(t *testing.T) {
	js, stream := start(t, jetstream.StreamConfig{})
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", `{"n":1}`)
	r, err := relay.New(log, "out", natssink.New(js, &natssink.Options{Structured: true, Subject: func(*relay.Message) string { return "events.all" }}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := received(t, stream)[0]
	if m.Subject != "events.all" || !strings.Contains(string(m.Data), `"data":{"n":1}`) || m.Header.Get("content-type") != "application/cloudevents+json" {
		t.Errorf("%s to %s with %v", m.Data, m.Subject, m.Header)
	}
}

func TestAMessageTooLargeForTheStreamIsADeadLetterAndOthersGoOn(t *testing.T) {
	js, stream := start(t, jetstream.StreamConfig{MaxMsgSize: 4096})
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", `{}`)
	appendEvent(t, log, "item-1", `"`+strings.Repeat("x", 5000)+`"`)
	appendEvent(t, log, "item-1", `{}`)
	appendEvent(t, log, "item-2", `{}`)
	r, err := relay.New(log, "out", natssink.New(js, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := r.Drain(t.Context()); at != 4 || err != nil {
		t.Fatalf("at %d, %v", at, err)
	}
	letter, err := r.Letters().Find(t.Context(), "item-1")
	if err != nil || len(letter.Positions) != 2 || letter.Positions[0] != 2 {
		t.Errorf("%+v, %v", letter, err)
	}
	if n := len(received(t, stream)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestAStreamThatIsMissingIsWaitedFor(t *testing.T) {
	js, _ := start(t, jetstream.StreamConfig{})
	if err := js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", `{}`)
	failed := make(chan struct{}, 1)
	backoff := func(int) time.Duration {
		select {
		case failed <- struct{}{}:
		default:
		}
		return time.Millisecond
	}
	r, err := relay.New(log, "out", natssink.New(js, nil), &relay.Options{Backoff: backoff})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := r.Drain(ctx)
		ended <- err
	}()
	<-failed
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if n := len(received(t, stream)); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestTwoRelaysIntoOneStreamDoNotTakeEachOthersMessagesForRepeats(t *testing.T) {
	js, stream := start(t, jetstream.StreamConfig{})
	log := memstore.New(nil)
	appendEvent(t, log, "item-1", `{}`)
	for _, name := range []string{"one", "two"} {
		r, err := relay.New(log, name, natssink.New(js, &natssink.Options{Subject: func(*relay.Message) string { return "events." + name }}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(received(t, stream)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}
