package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"
	kafkaplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/wire"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/kafkasink"
	"github.com/annals-db/annals/relay/natssink"
	"github.com/annals-db/annals/relay/webhook"
)

// relayDeclaration is a relay as the configuration file has it.
type relayDeclaration struct {
	To         string   `json:"to"`         // nats://…, kafka://host:9092/topic, or a webhook's https://…
	Query      []string `json:"query"`      // such as category=order; any of them; everything by default
	Subject    string   `json:"subject"`    // NATS: what subjects begin with; events by default
	SecretEnv  string   `json:"secret_env"` // webhook: the environment variable with the secret
	Structured bool     `json:"structured"` // NATS, Kafka: the whole CloudEvent as JSON
	Source     string   `json:"source"`     // of the CloudEvents
	AtEnd      bool     `json:"at_end"`     // begin with what comes from now on
	Attempts   int      `json:"attempts"`   // before an event is set aside; for ever by default
	State      string   `json:"state"`      // the store that keeps how far it is; the log's by default
}

// withRelays calls f with the relays named, open.
func (a *app) withRelays(ctx context.Context, names []string, f func(context.Context, map[string]*relay.Relay) error) (err error) {
	want := toRead
	for _, name := range names {
		d, ok := a.config.Relays[name]
		if !ok {
			return usagef("there is no relay %q in %s", name, first(a.config.name, "the configuration, which is missing"))
		}
		if d.State == "" {
			want = toWrite // the log's own state keeps the checkpoint
		}
	}
	var ends []func() error
	defer func() {
		for i := len(ends) - 1; i >= 0; i-- {
			err = errors.Join(err, ends[i]())
		}
	}()
	log, err := a.open(want)
	if err != nil {
		return err
	}
	ends = append(ends, log.Close)
	states := map[string]driver.State{}
	all := map[string]*relay.Relay{}
	for _, name := range names {
		d := a.config.Relays[name]
		if d.State != "" && states[d.State] == nil {
			store, err := a.openURL(ctx, d.State, opening{want: toWrite})
			if err != nil {
				return fmt.Errorf("relays.%s.state: %w", name, err)
			}
			ends = append(ends, store.Close)
			if states[d.State] = driver.StateOf(store); states[d.State] == nil {
				return fmt.Errorf("relays.%s.state: this store keeps no state", name)
			}
		}
		r, end, err := d.open(ctx, a, name, log, states[d.State])
		if err != nil {
			return &configError{a.config.name, err}
		}
		ends = append(ends, end)
		all[name] = r
	}
	return f(ctx, all)
}

// open returns the relay and what closes its connection.
func (d *relayDeclaration) open(ctx context.Context, a *app, name string, log driver.Log, state driver.State) (*relay.Relay, func() error, error) {
	bad := func(field string, err error) (*relay.Relay, func() error, error) {
		return nil, nil, fmt.Errorf("relays.%s.%s: %w", name, field, err)
	}
	q, err := wire.ParseQuery(d.Query...)
	if err != nil {
		return bad("query", err)
	}
	if d.Attempts < 0 {
		return bad("attempts", errors.New("it is negative"))
	}
	sink, end, err := d.sink(ctx)
	if err != nil {
		return bad("to", err)
	}
	r, err := relay.New(log, name, sink, &relay.Options{Query: q, Source: d.Source, AtEnd: d.AtEnd, Attempts: d.Attempts, State: state, Logger: a.logger()})
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return r, end, nil
}

func (d *relayDeclaration) sink(ctx context.Context) (relay.Sink, func() error, error) {
	scheme, _, _ := strings.Cut(d.To, ":")
	switch scheme {
	case "nats", "tls":
		return d.natsSink()
	case "kafka":
		return d.kafkaSink(ctx)
	case "http", "https":
		secret := os.Getenv(d.SecretEnv)
		if d.SecretEnv == "" || secret == "" {
			return nil, nil, fmt.Errorf("a webhook is signed: name the environment variable with its secret in secret_env (%q is empty)", d.SecretEnv)
		}
		s, err := webhook.New(d.To, secret, nil)
		return s, func() error { return nil }, err
	}
	return nil, nil, fmt.Errorf("%q is none of nats://…, kafka://host:9092/topic and https://…", redact(d.To))
}

func (d *relayDeclaration) natsSink() (relay.Sink, func() error, error) {
	nc, err := nats.Connect(d.To, nats.Name("annals relay"), nats.MaxReconnects(-1), nats.Timeout(5*time.Second))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	o := &natssink.Options{Structured: d.Structured}
	if d.Subject != "" {
		o.Subject = func(m *relay.Message) string { return d.Subject + strings.TrimPrefix(natssink.Subject(m), "events") }
	}
	return natssink.New(js, o), func() error { nc.Close(); return nil }, nil
}

// kafkaSink connects to kafka://user:password@host:9092,host:9092/topic?tls=true.
func (d *relayDeclaration) kafkaSink(ctx context.Context) (relay.Sink, func() error, error) {
	u, err := url.Parse(d.To)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, nil, errors.New("a Kafka topic is written kafka://host:9092/topic")
	}
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(u.Host, ",")...), kgo.DefaultProduceTopic(strings.Trim(u.Path, "/")), kgo.ClientID("annals-relay")}
	if u.User != nil {
		password, _ := u.User.Password()
		opts = append(opts, kgo.SASL(kafkaplain.Auth{User: u.User.Username(), Pass: password}.AsMechanism()))
	}
	if u.Query().Get("tls") == "true" {
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	} else {
		opts = append(opts, kgo.Dialer((&net.Dialer{Timeout: 5 * time.Second}).DialContext))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := client.Ping(bounded); err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("%w: no Kafka broker answers at %s: %w", driver.ErrUnavailable, u.Host, err)
	}
	return kafkasink.New(client, &kafkasink.Options{Structured: d.Structured}), func() error { client.Close(); return nil }, nil
}
