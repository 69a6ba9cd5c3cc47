package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/webhook"
)

var (
	secret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	old    = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, 24))
)

// receiver is an endpoint that verifies what it gets and answers as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string            // webhook-id, subject and sequence of what was accepted
	answer func(id string) int // status
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{answer: func(string) int { return http.StatusNoContent }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		for _, key := range []string{secret, old} {
			hook, err := standardwebhooks.NewWebhook(key)
			if err == nil {
				err = hook.Verify(body, req.Header)
			}
			if err != nil {
				t.Errorf("signature: %v", err)
			}
		}
		var event struct{ Id, Type, Subject, Sequence string }
		if err := json.Unmarshal(body, &event); err != nil || event.Type != "Moved" || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/cloudevents+json") {
			t.Errorf("%s: %v", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		status := r.answer(event.Id)
		if status/100 == 2 {
			r.got = append(r.got, event.Subject+" "+event.Sequence)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "because")
	}))
	t.Cleanup(r.Close)
	return r
}

func filled(t *testing.T, n int) driver.Log {
	t.Helper()
	log := memstore.New(nil)
	for i := range n {
		e := driver.Event{ID: uuid.New(), Stream: fmt.Sprintf("item-%d", i%3), Type: "Moved", Data: []byte("{}")}
		if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

func run(t *testing.T, log driver.Log, url string, attempts int) *relay.Relay {
	t.Helper()
	sink, err := webhook.New(url, secret, &webhook.Options{Old: []string{old}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(log, "hook", sink, &relay.Options{Attempts: attempts, Backoff: func(int) time.Duration { return time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEventsArePostedSignedInOrderPerKey(t *testing.T) {
	hook := newReceiver(t)
	run(t, filled(t, 60), hook.URL, 0)
	last := map[string]string{}
	for _, line := range hook.got {
		key, sequence, _ := strings.Cut(line, " ")
		if sequence <= last[key] {
			t.Errorf("%s comes behind %s", line, last[key])
		}
		last[key] = sequence
	}
	if len(hook.got) != 60 {
		t.Errorf("%d came", len(hook.got))
	}
}

func TestAnEndpointThatFailsIsTriedAgainAndThenItsEventSetAside(t *testing.T) {
	hook := newReceiver(t)
	calls := map[string]int{}
	hook.answer = func(id string) int {
		calls[id]++
		switch {
		case id == "4" && calls[id] < 3:
			return http.StatusServiceUnavailable
		case id == "5": // item-1
			return http.StatusInternalServerError
		case id == "3": // item-2
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	}
	r := run(t, filled(t, 9), hook.URL, 3)
	for key, want := range map[string]string{"item-1": `500 Internal Server Error: "because"`, "item-2": "422"} {
		letter, err := r.Letters().Find(t.Context(), key)
		if err != nil || !strings.Contains(letter.Error, want) || strings.Contains(letter.Error, "secret") {
			t.Errorf("%s: %+v, %v", key, letter, err)
		}
	}
	if letter, err := r.Letters().Find(t.Context(), "item-2"); err != nil || letter.Attempts != 1 {
		t.Errorf("an event that is refused for good was tried %d times (%v)", letter.Attempts, err)
	}
	if _, err := r.Letters().Find(t.Context(), "item-0"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("item-0: %v", err)
	}
	seen := map[string]bool{}
	for _, line := range hook.got {
		seen[line] = true
	}
	if len(seen) != 4 { // item-0 has 1, 4, 7; of item-1 only 2
		t.Errorf("accepted: %v", hook.got)
	}
	// Mended, the rest follows.
	hook.answer = func(string) int { return http.StatusOK }
	if n, err := r.Letters().Retry(t.Context(), "item-1"); n != 2 || err != nil {
		t.Errorf("Retry returned %d, %v", n, err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer elsewhere.Close()
	front := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/new?token=hidden", http.StatusTemporaryRedirect))
	defer front.Close()
	r := run(t, filled(t, 1), front.URL+"/in?token=hidden", 1)
	letter, err := r.Letters().Find(t.Context(), "item-0")
	if err != nil || !strings.Contains(letter.Error, "307") || !strings.Contains(letter.Error, "to "+elsewhere.URL+"/new, which is not followed") || strings.Contains(letter.Error, "hidden") {
		t.Errorf("%+v, %v", letter, err)
	}
}

// What the endpoint answers to every event is not the fault of one: only what
// speaks of the content sets an event aside at once.
func TestWhatIsTheEndpointsFaultIsTriedAgain(t *testing.T) {
	for code, attempts := range map[int]int{
		301: 2, 302: 2, 303: 2, 304: 2, 307: 2, 308: 2,
		400: 1, 401: 2, 402: 2, 403: 2, 404: 2, 405: 2, 406: 2, 407: 2, 408: 2, 409: 2, 410: 2, 411: 2, 412: 2, 413: 1, 415: 2,
		421: 2, 422: 1, 425: 2, 426: 2, 429: 2, 431: 2, 451: 2, 499: 2, 500: 2, 501: 2, 503: 2, 507: 2,
	} {
		hook := newReceiver(t)
		hook.answer = func(string) int { return code }
		letter, err := run(t, filled(t, 1), hook.URL, 2).Letters().Find(t.Context(), "item-0")
		if err != nil || letter.Attempts != attempts || !strings.Contains(letter.Error, fmt.Sprint(code)) {
			t.Errorf("after %d an event is tried %d times, not %d: %+v, %v", code, letter.Attempts, attempts, letter, err)
		}
	}
}

func TestTheSignatureIsHMACOverIDTimeAndBody(t *testing.T) {
	var got http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	sink, err := webhook.New(server.URL, secret, &webhook.Options{Clock: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	m := relay.Message{ID: "17", Record: driver.Record{Event: driver.Event{Type: "T"}}}
	if err := sink.Publish(t.Context(), []relay.Message{m}); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, bytes.Repeat([]byte{7}, 32))
	fmt.Fprintf(mac, "%s.1700000000.%s", m.MessageID(), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Get("webhook-signature") != want || got.Get("webhook-id") != m.MessageID() {
		t.Errorf("%v, want the signature %s", got, want)
	}
}

func TestWhatIsNoURLOrNoSecretIsRefused(t *testing.T) {
	for _, c := range []struct{ url, secret string }{
		{"ftp://host/x", secret}, {"host/x", secret}, {"http://", secret}, {"http://host", ""}, {"http://host", "whsec_!!!"}, {"http://host", "whsec_c2hvcnQ="},
	} {
		if _, err := webhook.New(c.url, c.secret, nil); err == nil || c.secret != "" && strings.Contains(err.Error(), c.secret) {
			t.Errorf("%q, %q: %v", c.url, c.secret, err)
		}
	}
}
