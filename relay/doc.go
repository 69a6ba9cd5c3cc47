// Package relay publishes the events of a log elsewhere: to a broker, to
// webhooks. It is what others call an outbox; the log is the outbox already.
//
// Start with [New], which takes a [Sink], and [Relay.Run]:
//
//	sink := kafkasink.New(client, nil)
//	r, err := relay.New(log, "orders-to-kafka", sink, &relay.Options{
//		Query: driver.Query{Items: []driver.Item{{Category: "order"}}},
//	})
//	err = r.Run(ctx)
//
// Package natssink publishes to NATS JetStream, kafkasink to what speaks the
// Kafka protocol, webhook to an HTTP endpoint with signed requests. Each links
// its own client library; this package none.
//
// # What is promised
//
// Every event is published at least once, and those of one key ([Options.Key];
// the stream by default) for the first time in the log's order, whatever is
// killed when. A message that is published again has the same ID: its position
// in the log, by which brokers and receivers drop repeats. A [Message] says
// itself as a CloudEvent, version 1.0.
//
// How far a relay has come lies in the log's state, under the relay's name:
// log ID, position and tree head. A log that was restored from an older backup,
// or is another one, is refused with a [*CheckpointError]. Of several processes
// that run one relay, one publishes and the others wait to take over.
//
// # Errors
//
// What a sink could not publish is tried again, with growing pauses, for ever;
// what it calls [Permanent], or has failed [Options.Attempts] times, is set
// aside as a dead letter, and later events of its key behind it. Other keys go
// on. [Letters] lists them, and retries or drops them.
package relay
