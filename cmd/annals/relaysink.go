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

	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/kafkasink"
	"github.com/annals-db/annals/relay/natssink"
	"github.com/annals-db/annals/relay/webhook"
)

// errBroker says that nobody answers where a relay publishes to.
var errBroker = errors.New("the broker is unavailable")

// connecting is a sink that connects when it is first needed, and is tried
// again by the relay until it can: a broker that is down at the start is waited
// for like one that goes down later.
type connecting struct {
	connect func(context.Context) (relay.Sink, func(), error)
	sink    relay.Sink // nil before it is connected
	end     func()
}

// Publish publishes messages; see [relay.Sink].
func (c *connecting) Publish(ctx context.Context, messages []relay.Message) error {
	if err := c.ensure(ctx); err != nil {
		return err
	}
	return c.sink.Publish(ctx, messages)
}

// ensure connects, unless it is connected.
func (c *connecting) ensure(ctx context.Context) (err error) {
	if c.sink == nil {
		c.sink, c.end, err = c.connect(ctx)
	}
	return err
}

func (c *connecting) close() error {
	if c.end != nil {
		c.end()
	}
	return nil
}

func (d *relayDeclaration) sink() (relay.Sink, error) {
	scheme, _, _ := strings.Cut(d.To, ":")
	switch scheme {
	case "nats", "tls":
		return d.natsSink()
	case "kafka":
		return d.kafkaSink()
	case "http", "https":
		secret := os.Getenv(d.SecretEnv)
		if d.SecretEnv == "" || secret == "" {
			return nil, fmt.Errorf("a webhook is signed: name the environment variable with its secret in secret_env (%q is empty)", d.SecretEnv)
		}
		return webhook.New(d.To, secret, nil)
	}
	return nil, fmt.Errorf("%q is none of nats://…, kafka://host:9092/topic and https://…", redact(d.To))
}

// natsSink connects to nats://host:4222,nats://host:4222.
func (d *relayDeclaration) natsSink() (relay.Sink, error) {
	var hosts []string
	for server := range strings.SplitSeq(d.To, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" {
			return nil, errors.New("a NATS server is written nats://host:4222, several with commas between")
		}
		hosts = append(hosts, u.Host)
	}
	o := &natssink.Options{Structured: d.Structured}
	if d.Subject != "" {
		o.Subject = func(m *relay.Message) string { return d.Subject + strings.TrimPrefix(natssink.Subject(m), "events") }
	}
	return &connecting{connect: func(context.Context) (relay.Sink, func(), error) {
		nc, err := nats.Connect(d.To, nats.Name("annals relay"), nats.MaxReconnects(-1), nats.Timeout(5*time.Second))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: no NATS server answers at %s: %w", errBroker, strings.Join(hosts, ","), err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			nc.Close()
			return nil, nil, err
		}
		return natssink.New(js, o), nc.Close, nil
	}}, nil
}

// kafkaSink connects to kafka://user:password@host:9092,host:9092/topic?tls=true.
func (d *relayDeclaration) kafkaSink() (relay.Sink, error) {
	u, err := url.Parse(d.To)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("a Kafka topic is written kafka://host:9092/topic")
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
	if err := kgo.ValidateOpts(opts...); err != nil {
		return nil, err
	}
	return &connecting{connect: func(ctx context.Context) (relay.Sink, func(), error) {
		client, err := kgo.NewClient(opts...)
		if err != nil {
			return nil, nil, err
		}
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := client.Ping(bounded); err != nil {
			client.Close()
			return nil, nil, fmt.Errorf("%w: no Kafka broker answers at %s: %w", errBroker, u.Host, err)
		}
		return kafkasink.New(client, &kafkasink.Options{Structured: d.Structured}), client.Close, nil
	}}, nil
}
