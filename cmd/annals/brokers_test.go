package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const hookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// brokers starts a NATS server, a Kafka broker and a webhook's receiver, sets
// NATS, KAFKA, HOOK and SECRET, and writes what the files named say with them.
func brokers(ts *testscript.TestScript, _ bool, files []string) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: ts.MkAbs("jetstream"), NoLog: true, NoSigs: true})
	ts.Check(err)
	s.Start()
	ts.Defer(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		ts.Fatalf("the NATS server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	ts.Check(err)
	ts.Defer(nc.Close)
	js, err := jetstream.New(nc)
	ts.Check(err)
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	ts.Check(err)
	ts.Setenv("NATS", s.ClientURL())

	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "stock"))
	ts.Check(err)
	ts.Defer(k.Close)
	ts.Setenv("KAFKA", "kafka://"+k.ListenAddrs()[0]+"/stock")

	hook := httptest.NewServer(receiver(ts))
	ts.Defer(hook.Close)
	ts.Setenv("HOOK", hook.URL)
	ts.Setenv("SECRET", hookSecret)
	for _, f := range files {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

// receiver refuses what is not signed, and events of type Refused until there is a file mended.
func receiver(ts *testscript.TestScript) http.HandlerFunc {
	hook, err := standardwebhooks.NewWebhook(hookSecret)
	ts.Check(err)
	out, mended := ts.MkAbs("hook.received"), ts.MkAbs("mended")
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = hook.Verify(body, r.Header)
		}
		var event struct{ Subject, Id, Type string }
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, err := os.Stat(mended); event.Type == "Refused" && err != nil {
			http.Error(w, "not today", http.StatusUnprocessableEntity)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			fmt.Fprintln(f, event.Subject, event.Id, event.Type)
			err = f.Close()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// received nats|kafka N writes what has come, N messages, into the file nats.received or kafka.received.
func received(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var n int
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	var out strings.Builder
	switch args[0] {
	case "nats":
		nc, err := nats.Connect(ts.Getenv("NATS"))
		ts.Check(err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		ts.Check(err)
		stream, err := js.Stream(ctx, "SHOP")
		ts.Check(err)
		for i := range n {
			m, err := stream.GetMsg(ctx, uint64(i+1))
			ts.Check(err)
			fmt.Fprintln(&out, m.Subject, m.Header.Get("ce-id"), string(m.Data))
		}
	case "kafka":
		broker := strings.TrimSuffix(strings.TrimPrefix(ts.Getenv("KAFKA"), "kafka://"), "/stock")
		client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics("stock"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ts.Check(err)
		defer client.Close()
		for n > 0 {
			fetches := client.PollFetches(ctx)
			ts.Check(fetches.Err())
			fetches.EachRecord(func(r *kgo.Record) {
				n--
				fmt.Fprintln(&out, string(r.Key), string(r.Value))
			})
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".received"), []byte(out.String()), 0o600))
}
