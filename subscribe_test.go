package annals_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

func TestSubscribe(t *testing.T) {
	t.Run("catches up, goes live, and ends with its context", func(t *testing.T) {
		db, _ := open(t, nil)
		create(t, db, "a", "A", 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []annals.Position
		var last error
		for n, err := range db.Subscribe(ctx, annals.Query{}, nil) {
			if last = err; err != nil {
				break
			}
			got = append(got, n.Position)
			if n.Position == 5 {
				cancel()
				continue
			}
			change(t, db, "a", 1)
		}
		equal(t, "notifications", len(got), 5)
		for i, p := range got {
			equal(t, "position", p, annals.Position(i+1))
		}
		if !errors.Is(last, context.Canceled) {
			t.Fatalf("ended with %v", last)
		}
	})
	t.Run("tells how far it has looked where nothing matched", func(t *testing.T) {
		db, _ := open(t, nil)
		for _, id := range []string{"a", "b", "c"} {
			create(t, db, id, id, 1)
		}
		q := annals.Match(annals.QueryItem{Streams: []string{"item-b"}})
		var scanned []annals.Position
		for n, err := range db.Subscribe(t.Context(), q, &annals.SubscribeOptions{Progress: true}) {
			must(t, err)
			if scanned = append(scanned, n.Scanned); n.CaughtUp {
				break
			}
		}
		equal(t, "notifications", len(scanned), 2)
		equal(t, "the record", scanned[0], 2)
		equal(t, "the head", scanned[1], 3)
	})
	t.Run("is woken, not polled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := memstore.New(nil)
			db := annals.New(log, nil)
			start := time.Now()
			go func() {
				time.Sleep(time.Hour)
				create(t, db, "a", "A", 1)
			}()
			for _, err := range db.Subscribe(t.Context(), annals.Query{}, nil) {
				must(t, err)
				equal(t, "woken after", time.Since(start), time.Hour)
				break
			}
		})
	})
	t.Run("from a time, from the head, behind the head", func(t *testing.T) {
		db, c := timed(t)
		create(t, db, "a", "A", 1)
		c.Advance(time.Hour)
		change(t, db, "a", 1)
		first := func(o annals.SubscribeOptions) annals.Position {
			for n, err := range db.Subscribe(t.Context(), annals.Query{}, &o) {
				must(t, err)
				return n.Scanned
			}
			return 0
		}
		equal(t, "since", first(annals.SubscribeOptions{Since: c.now.Add(-time.Minute)}), 2)
		equal(t, "from head", first(annals.SubscribeOptions{FromHead: true, Progress: true}), 2)
		for _, err := range db.Subscribe(t.Context(), annals.Query{}, &annals.SubscribeOptions{After: 9}) {
			fails(t, err, "position 9 does not exist")
			break
		}
	})
}

// A batch is full with so many bytes, too, so that memory is bounded however large records are.
func TestABatchOfLargeRecordsIsFullEarlier(t *testing.T) {
	log := memstore.New(nil)
	data := []byte(`"` + strings.Repeat("x", 1_000_000) + `"`)
	for range 12 {
		_, err := log.Append(t.Context(), driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: "item-1", Type: "T", Data: data}}})
		must(t, err)
	}
	seen := 0
	for b, err := range annals.New(log, nil).SubscribeBatches(t.Context(), annals.Query{}, nil) {
		must(t, err)
		if seen += len(b.Records); len(b.Records) > 5 {
			t.Fatalf("%d megabytes are in a batch", len(b.Records))
		}
		if b.CaughtUp {
			break
		}
	}
	equal(t, "records", seen, 12)
}

func TestNotificationLog(t *testing.T) {
	db, _ := open(t, nil)
	create(t, db, "a", "A", 1)
	for range 4 {
		change(t, db, "a", 1)
	}
	page, err := db.Select(t.Context(), 2, 3)
	must(t, err)
	equal(t, "page", len(page), 3)
	equal(t, "first of page", page[0].Position, 2)
	page, err = db.Select(t.Context(), 6, 3)
	must(t, err)
	equal(t, "page behind the head", len(page), 0)
	_, err = db.Select(t.Context(), 0, 3)
	fails(t, err, "count from 1")

	s, err := db.Section(t.Context(), "1,3")
	must(t, err)
	equal(t, "next", s.NextID, "4,6")
	s, err = db.Section(t.Context(), s.NextID)
	must(t, err)
	equal(t, "items of the last", len(s.Items), 2)
	equal(t, "next of the last", s.NextID, "")
	for _, id := range []string{"", "1", "0,3", "3,1", "1,3x", "a,b"} {
		_, err = db.Section(t.Context(), id)
		fails(t, err, "form first,last")
	}
}
