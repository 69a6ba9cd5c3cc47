// Package webhook posts a relay's messages to an HTTP endpoint, signed as
// Standard Webhooks says (https://www.standardwebhooks.com): HMAC-SHA256 over
// ID, time and body, in the headers webhook-id, webhook-timestamp and
// webhook-signature. The body is the event as a CloudEvent in JSON.
//
// Start with [New]. A message that is sent again has the same webhook-id, by
// which the receiver drops repeats; the relay's Options.Attempts says after how
// many an event is set aside. An answer of 400, 413 or 422 sets it aside at
// once; any other that is not 2xx, a redirect too, is the endpoint's fault. A
// receiver in Go verifies with the library of Standard Webhooks:
//
//	hook, err := standardwebhooks.NewWebhook(secret)
//	err = hook.Verify(body, request.Header)
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/annals-db/annals/relay"
)

// Options are what [New] may be told.
type Options struct {
	// Client sends the requests. Redirects are not followed. Defaults to one
	// with a time limit of 15 seconds.
	Client *http.Client
	// Parallel is how many requests may be under way at once, never two of one
	// key. Defaults to 8.
	Parallel int
	// Old are further secrets to sign with, while receivers change over to the
	// new one. Defaults to none.
	Old []string
	// Clock tells the time that is signed. Defaults to time.Now.
	Clock func() time.Time
}

// Sink posts to a webhook.
type Sink struct {
	url    string
	shown  string // without a password or query
	keys   []*standardwebhooks.Webhook
	client *http.Client
	opts   Options
}

const minSecret = 24 // bytes, of which Standard Webhooks wants 24 to 64

// New returns a sink that posts to url and signs with secret, base64 of 24 bytes
// or more, with or without "whsec_" before it.
func New(target, secret string, opts *Options) (*Sink, error) {
	s := &Sink{url: target}
	if opts != nil {
		s.opts = *opts
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("a webhook needs a URL of the form https://host/path")
	}
	s.shown = shown(u)
	for _, text := range append([]string{secret}, s.opts.Old...) {
		text = strings.TrimPrefix(text, "whsec_")
		key, err := standardwebhooks.NewWebhook(text)
		if err != nil || len(text)*3/4 < minSecret {
			return nil, fmt.Errorf("a webhook's secret is base64 of at least %d bytes, such as openssl rand -base64 32 prints", minSecret)
		}
		s.keys = append(s.keys, key)
	}
	client := http.Client{Timeout: 15 * time.Second}
	if s.opts.Client != nil {
		client = *s.opts.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client
	if s.opts.Parallel <= 0 {
		s.opts.Parallel = 8
	}
	if s.opts.Clock == nil {
		s.opts.Clock = time.Now
	}
	return s, nil
}

// Publish posts messages; see [relay.Sink].
func (s *Sink) Publish(ctx context.Context, messages []relay.Message) error {
	return relay.InOrder(ctx, messages, s.opts.Parallel, s.post)
}

func (s *Sink) post(ctx context.Context, m *relay.Message) error {
	if err := s.send(ctx, m); err != nil {
		return fmt.Errorf("post position %s to %s: %w", m.ID, s.shown, err)
	}
	return nil
}

func (s *Sink) send(ctx context.Context, m *relay.Message) error {
	body, err := m.MarshalJSON()
	if err != nil {
		return relay.Permanent(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := s.sign(r.Header, m.MessageID(), body); err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("User-Agent", "annals-relay")
	answer, err := s.client.Do(r)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // without the URL, which may hold a secret
		}
		return err
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	_ = answer.Body.Close()
	return judge(answer, text)
}

func (s *Sink) sign(h http.Header, id string, body []byte) error {
	now := s.opts.Clock()
	var signatures []string
	for _, key := range s.keys {
		signature, err := key.Sign(id, now, body)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// judge returns the error of an answer, nil if the message was accepted. Only
// an answer that speaks of what was sent refuses the message for good. Any
// other would have been given to every message: the endpoint has moved, is
// gone, wants something else, or fails.
func judge(answer *http.Response, body []byte) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("the answer is %s", answer.Status)
	if to, bad := answer.Location(); bad == nil && code >= 300 && code < 400 {
		err = fmt.Errorf("%w to %s, which is not followed: give the relay the endpoint's own address", err, shown(to))
	}
	if text := strings.TrimSpace(string(body)); text != "" {
		err = fmt.Errorf("%w: %q", err, text)
	}
	switch code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return relay.Permanent(err)
	}
	return err
}

// shown is u without a password or query, which may hold a secret.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }
