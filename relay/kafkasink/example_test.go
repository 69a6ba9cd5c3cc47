package kafkasink_test

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/kafkasink"
)

func ExampleNew() {
	publish := func(ctx context.Context, log driver.Log) error {
		client, err := kgo.NewClient(kgo.SeedBrokers("localhost:9092"), kgo.DefaultProduceTopic("orders"))
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
	_ = publish
}
