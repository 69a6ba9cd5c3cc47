package kafkasink_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
	"github.com/annals-db/annals/relay"
	"github.com/annals-db/annals/relay/kafkasink"
)

const topic = "events"

func start(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func filled(t *testing.T, n int) driver.Log {
	t.Helper()
	log := memstore.New(nil)
	for i := range n {
		appendEvent(t, log, i, fmt.Sprintf(`{"n":%d}`, i))
	}
	return log
}

func appendEvent(t *testing.T, log driver.Log, i int, data string) {
	t.Helper()
	e := driver.Event{ID: uuid.New(), Stream: fmt.Sprintf("item-%d", i%9), Type: "Moved", Data: []byte(data), Tags: []string{"a:b"}}
	if _, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

func drain(t *testing.T, log driver.Log, cl *kgo.Client, o *relay.Options) *relay.Relay {
	t.Helper()
	r, err := relay.New(log, "out", kafkasink.New(cl, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := r.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// consumed returns the records of the topic, until as many different
// positions as wanted have come.
func consumed(t *testing.T, c *kfake.Cluster, want int) (out []*kgo.Record) {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d came: %v", len(seen), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out = append(out, r)
			seen[header(r, "ce_id")] = true
		})
	}
	return out
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// ordered fails the test unless of each key the positions come in order for the first time.
func ordered(t *testing.T, records []*kgo.Record) {
	t.Helper()
	last, seen := map[string]int{}, map[string]bool{}
	for _, r := range records {
		id := header(r, "ce_id")
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[id] && n < last[string(r.Key)] {
			t.Errorf("of %s, %d comes behind %d", r.Key, n, last[string(r.Key)])
		}
		seen[id], last[string(r.Key)] = true, max(n, last[string(r.Key)])
	}
}

func TestEventsAreInTheTopicInOrderPerKey(t *testing.T) {
	c := start(t)
	drain(t, filled(t, 1000), client(t, c, kgo.DefaultProduceTopic(topic)), nil)
	got := consumed(t, c, 1000)
	ordered(t, got)
	r := got[0]
	if len(got) != 1000 || header(r, "ce_type") != "Moved" || header(r, "ce_subject") != string(r.Key) || header(r, "content-type") != "application/json" ||
		header(r, "ce_tags") != `["a:b"]` || !strings.HasPrefix(string(r.Value), `{"n":`) {
		t.Errorf("%d records, the first %s with %v", len(got), r.Value, r.Headers)
	}
}

func TestOrderIsKeptWhereTheBrokerFails(t *testing.T) {
	c := start(t)
	const every = 40 // produce requests: one fails
	var calls atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if calls.Add(1)%every != 0 {
			return nil, nil, false
		}
		produce := req.(*kmsg.ProduceRequest)
		resp := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range produce.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.TopicAuthorizationFailed.Code // which the client does not try again
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	drain(t, filled(t, 2000), client(t, c, kgo.DefaultProduceTopic(topic)),
		&relay.Options{Batch: 200, Backoff: func(int) time.Duration { return time.Millisecond }})
	ordered(t, consumed(t, c, 2000))
	if calls.Load() < every {
		t.Errorf("only %d produce requests: nothing failed", calls.Load())
	}
}

func TestARecordTooLargeIsADeadLetterAndNothingOfItsKeyOvertakesIt(t *testing.T) {
	c := start(t)
	log := filled(t, 20)
	appendEvent(t, log, 1, `"`+strings.Repeat("x", 20_000)+`"`)
	for i := range 20 {
		appendEvent(t, log, i, "{}")
	}
	cl := client(t, c, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(10_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	r := drain(t, log, cl, nil)
	letter, err := r.Letters().Find(t.Context(), "item-1")
	if err != nil || len(letter.Positions) != 4 || letter.Positions[0] != 21 {
		t.Fatalf("%+v, %v", letter, err)
	}
	got := consumed(t, c, 37)
	ordered(t, got)
	for _, r := range got {
		for _, p := range letter.Positions {
			if header(r, "ce_id") == fmt.Sprint(p) {
				t.Errorf("position %d was published", p)
			}
		}
	}
}
