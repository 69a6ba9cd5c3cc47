package natssink_test

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/natssink"
)

func ExampleNew() {
	publish := func(ctx context.Context, log driver.Log) error {
		nc, err := nats.Connect(nats.DefaultURL)
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		r, err := relay.New(log, "orders-to-nats", natssink.New(js, nil), nil)
		if err != nil {
			return err
		}
		return r.Run(ctx)
	}
	_ = publish
}
