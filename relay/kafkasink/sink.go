// Package kafkasink publishes a relay's messages to whatever speaks the Kafka
// protocol, by franz-go, as CloudEvents in the binary content mode: the event's
// data are the record's value, its attributes the headers "ce_type" and so on.
//
// Start with [New]. The record's key is the message's, so that messages of one
// key are in one partition, in order. The producer is idempotent within a
// session; after a crash a message may be there twice, with the same ce_id, the
// position, which rises.
package kafkasink

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/annals-db/annals/relay"
)

// Options are what [New] may be told.
type Options struct {
	// Topic returns the topic of a message. Defaults to the client's own
	// (kgo.DefaultProduceTopic).
	Topic func(*relay.Message) string
	// Structured publishes the whole CloudEvent as JSON instead. Defaults to false.
	Structured bool
}

// Sink publishes to Kafka.
type Sink struct {
	client *kgo.Client
	opts   Options
	most   int // bytes of a batch
}

// New returns a sink that produces by client. The client's defaults are right:
// acknowledged by all replicas in sync, idempotent, partitions by key.
//
// A key's records are produced one after the other and different keys together.
// So a log with many keys is published fast, and one with a single key at a
// record for each round trip.
func New(client *kgo.Client, opts *Options) *Sink {
	s := &Sink{client: client}
	if opts != nil {
		s.opts = *opts
	}
	if most, ok := client.OptValue(kgo.ProducerBatchMaxBytes).(int32); ok {
		s.most = int(most)
	}
	return s
}

// Publish publishes messages; see [relay.Sink].
func (s *Sink) Publish(ctx context.Context, messages []relay.Message) error {
	records := make([]*kgo.Record, len(messages))
	for i := range messages {
		r, err := s.record(&messages[i])
		if err != nil {
			return err
		}
		// Looked at before anything is sent, so that nothing of its key overtakes it.
		if size := sizeOf(r); s.most > 0 && size > s.most {
			return relay.Permanent(fmt.Errorf("position %s: %d bytes, where a batch has at most %d: %w", messages[i].ID, size, s.most, kerr.MessageTooLarge))
		}
		records[i] = r
	}
	err := s.produce(ctx, records)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("produce to Kafka: %w", err)
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord) {
		return relay.Permanent(err)
	}
	return err
}

// produce produces records in rounds, in each of which a key comes once at
// most: where a request fails, the one that was sent behind it may not, so that
// a key's next record must not be on its way before its last is accepted.
func (s *Sink) produce(ctx context.Context, records []*kgo.Record) error {
	for len(records) > 0 {
		round := make([]*kgo.Record, 0, len(records))
		var later []*kgo.Record
		taken := map[string]bool{}
		for _, r := range records {
			if taken[string(r.Key)] {
				later = append(later, r)
			} else {
				taken[string(r.Key)] = true
				round = append(round, r)
			}
		}
		var first kgo.FirstErrPromise
		for _, r := range round {
			s.client.Produce(ctx, r, first.Promise())
		}
		if err := s.client.Flush(ctx); err != nil { // without waiting for more to come
			return err
		}
		if err := first.Err(); err != nil {
			return err
		}
		records = later
	}
	return nil
}

func (s *Sink) record(m *relay.Message) (*kgo.Record, error) {
	r := &kgo.Record{Key: []byte(m.Key), Timestamp: m.Record.Time}
	if s.opts.Topic != nil {
		r.Topic = s.opts.Topic(m)
	}
	header := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	if s.opts.Structured {
		value, err := m.MarshalJSON()
		header("content-type", "application/cloudevents+json")
		r.Value = value
		return r, err
	}
	for _, a := range m.Attributes() {
		header("ce_"+a.Name, a.Value)
	}
	header("content-type", m.ContentType())
	r.Value = m.Record.Data
	return r, nil
}

// sizeOf is about what r takes in a batch of its own.
func sizeOf(r *kgo.Record) int {
	const batch, record, header = 61, 21, 10
	size := batch + record + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += header + len(h.Key) + len(h.Value)
	}
	return size
}
