package guide_test

import (
	"context"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/kafkasink"
	"github.com/annals-db/annals/relay/natssink"
	"github.com/annals-db/annals/relay/webhook"
)

// code: relay-nats
func relayToNATS(ctx context.Context, log driver.Log, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	r, err := relay.New(log, "orders-to-nats", natssink.New(js, nil), &relay.Options{
		Query: driver.Query{Items: []driver.Item{{Category: "order"}}},
	})
	if err != nil {
		return err
	}
	return r.Run(ctx) // until ctx ends
}

// end

// code: relay-kafka
func relayToKafka(ctx context.Context, log driver.Log, brokers ...string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := relay.New(log, "orders-to-kafka", kafkasink.New(client, nil), nil)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// end

// code: relay-webhook
func relayToWebhook(ctx context.Context, log driver.Log) error {
	sink, err := webhook.New("https://partner.example/events", os.Getenv("WEBHOOK_SECRET"), nil)
	if err != nil {
		return err
	}
	r, err := relay.New(log, "partner", sink, &relay.Options{Attempts: 10})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// end

// code: relay-sink
type printer struct{}

func (printer) Publish(_ context.Context, messages []relay.Message) error {
	for i := range messages {
		m := &messages[i]
		println(m.Key, m.ID, m.Record.Type)
	}
	return nil
}

// end

var _ = []any{relayToNATS, relayToKafka, relayToWebhook, relay.Sink(printer{})}
