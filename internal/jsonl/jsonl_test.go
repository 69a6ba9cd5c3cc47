package jsonl_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/jsonl"
	"github.com/annals-db/annals/memstore"
)

var ctx = context.Background()

// history returns a log with batches, conditions, tags, encodings and gaps in time.
func history(t *testing.T) *memstore.Store {
	t.Helper()
	now := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	log := memstore.New(&memstore.Options{Clock: func() time.Time { now = now.Add(time.Hour / 3); return now }})
	for i := range 50 {
		b := driver.Batch{Conditions: []driver.Condition{
			driver.StreamAt(fmt.Sprint("item-", i%5), uint64(i/5*2)),
			driver.NoneAfter(driver.Query{Items: []driver.Item{{Types: []string{"Never"}, Tags: []string{"a:b"}}}}, driver.Position(i)),
		}}
		for j := range 2 {
			b.Events = append(b.Events, driver.Event{
				ID: uuid.New(), Stream: fmt.Sprint("item-", i%5), Type: "T", Data: []byte(fmt.Sprintf(`{"n": %d00000000000000000001}`, i)),
				Tags: []string{"k:v"}, Metadata: driver.Metadata{{Key: "actor", Value: "ä"}}, Occurred: now.Add(-time.Duration(j) * time.Minute),
			})
		}
		if i%7 == 0 {
			b.Events[1].Encoding, b.Events[1].Data = "cbor", []byte{1, 2, 3}
		}
		if _, err := log.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

func export(t *testing.T, log driver.Log, q driver.Query) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := jsonl.Export(ctx, log, q, driver.ReadOptions{}, &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestImport(t *testing.T) {
	from := history(t)
	text := export(t, from, driver.Query{})
	t.Run("of an export into an empty log gives the same log", func(t *testing.T) {
		to := memstore.New(nil)
		s, err := jsonl.Import(ctx, to, strings.NewReader(text), nil)
		if err != nil || s.Added != 100 || s.Dropped != 0 {
			t.Fatalf("got %+v, %v", s, err)
		}
		if got := export(t, to, driver.Query{}); got != text {
			t.Errorf("got  %.300s\nwant %.300s", got, text)
		}
		one, _ := from.TreeHead(ctx, 100)
		two, err := to.TreeHead(ctx, 100)
		if err != nil || one != two {
			t.Errorf("the running hashes differ: %x, %x, %v", one, two, err)
		}
		s, err = jsonl.Import(ctx, to, strings.NewReader(text), nil)
		if err != nil || s.Added != 0 || s.Known != 100 {
			t.Errorf("the second time: got %+v, %v", s, err)
		}
	})
	t.Run("goes on where it was broken off", func(t *testing.T) {
		to := memstore.New(nil)
		half := strings.Join(strings.SplitAfter(text, "\n")[:40], "")
		if _, err := jsonl.Import(ctx, to, strings.NewReader(half), nil); err != nil {
			t.Fatal(err)
		}
		s, err := jsonl.Import(ctx, to, strings.NewReader(text), nil)
		if err != nil || s.Added != 60 || s.Known != 40 || export(t, to, driver.Query{}) != text {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("of a part leaves conditions out and says so", func(t *testing.T) {
		part := export(t, from, driver.Query{Items: []driver.Item{{Streams: []string{"item-3"}}}})
		to := memstore.New(nil)
		s, err := jsonl.Import(ctx, to, strings.NewReader(part), nil)
		if err != nil || s.Added != 20 || s.Dropped != 20 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("into a log that holds something else leaves conditions out", func(t *testing.T) {
		to := memstore.New(&memstore.Options{Clock: func() time.Time { return time.Unix(0, 0) }})
		if _, err := to.Append(ctx, driver.Batch{Events: []driver.Event{{ID: uuid.New(), Stream: "item-1", Type: "T", Data: []byte("1")}}}); err != nil {
			t.Fatal(err)
		}
		s, err := jsonl.Import(ctx, to, strings.NewReader(text), nil)
		if err != nil || s.Added != 100 || s.Dropped != 100 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
	t.Run("takes events as append does, and adds them once", func(t *testing.T) {
		to := memstore.New(nil)
		events := `{"stream":"s","type":"T","data":1}` + "\n\n" + `{"stream":"s","type":"T","data":1}`
		for i, want := range []int{2, 0} {
			s, err := jsonl.Import(ctx, to, strings.NewReader(events), &jsonl.Options{Source: "f"})
			if err != nil || s.Added != want || s.Known != 2-want {
				t.Errorf("run %d: got %+v, %v", i+1, s, err)
			}
		}
	})
	for name, c := range map[string]struct{ text, part string }{
		"that is no JSON":             {`{"stream":"s","type":"T","data":1}` + "\nrubbish\n", "line 2"},
		"whose time runs backwards":   {`{"stream":"s","type":"T","data":1,"time":"2020-01-02T00:00:00Z"}` + "\n" + `{"stream":"s","type":"T","data":1,"time":"2020-01-01T00:00:00Z"}`, "line 2"},
		"that the log refuses":        {`{"stream":"s","type":"T","data":1,"tags":["x"]}`, "line 1"},
		"that is binary":              {"\x00\x01\x02\xff\n", "line 1"},
		"earlier than the log's head": {`{"stream":"s","type":"T","data":1}` + "\n" + `{"stream":"s","type":"T","data":1,"time":"2001-01-02T00:00:00Z"}`, "line 2"},
	} {
		t.Run("names a line "+name, func(t *testing.T) {
			if s, err := jsonl.Import(ctx, memstore.New(nil), strings.NewReader(c.text), nil); err == nil || !strings.Contains(err.Error(), c.part) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}
