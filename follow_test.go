package annals_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/memstore"
)

// sections is a log that is read by named sections, as from elsewhere.
type sections struct{ db *annals.DB }

func (s sections) Select(ctx context.Context, start annals.Position, limit int) ([]annals.Record, error) {
	section, err := s.db.Section(ctx, fmt.Sprintf("%d,%d", start, start+annals.Position(limit)-1))
	return section.Items, err
}

// Whatever the log, the query and the size of the pages: a subscription, one in
// batches, and following by pages and by sections yield the same, also where
// each stops and resumes at random, while the log grows.
func TestEveryWayToFollowYieldsTheSame(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { followAll(t, seed) })
		})
	}
}

func followAll(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	log := memstore.New(nil)
	db := annals.New(log, nil)
	grow := func(rnd *rand.Rand) {
		var events []driver.Event
		for range min(1+rnd.IntN(5), 300-int(head(t, db))) {
			events = append(events, driver.Event{ID: annals.NewID(), Stream: fmt.Sprint("item-", rnd.IntN(3)), Type: fmt.Sprint("T", rnd.IntN(3)), Data: []byte("{}")})
		}
		_, err := log.Append(t.Context(), driver.Batch{Events: events})
		must(t, err)
	}
	for range rnd.IntN(30) {
		grow(rnd)
	}
	q := []annals.Query{{}, annals.Match(annals.QueryItem{Types: []string{"T1"}}), annals.Match(annals.QueryItem{Streams: []string{"item-2"}})}[rnd.IntN(3)]
	page := 1 + rnd.IntN(20)
	follow := func(src annals.NotificationLog) func(ctx context.Context, after annals.Position) iter.Seq2[annals.Notification, error] {
		return func(ctx context.Context, after annals.Position) iter.Seq2[annals.Notification, error] {
			return annals.Follow(ctx, src, q, &annals.FollowOptions{After: after, Page: page, Progress: true})
		}
	}
	ways := map[string]func(ctx context.Context, after annals.Position) iter.Seq2[annals.Notification, error]{
		"subscription": func(ctx context.Context, after annals.Position) iter.Seq2[annals.Notification, error] {
			return db.Subscribe(ctx, q, &annals.SubscribeOptions{After: after, Progress: true})
		},
		"batches": func(ctx context.Context, after annals.Position) iter.Seq2[annals.Notification, error] {
			return unbatched(t, page, db.SubscribeBatches(ctx, q, &annals.SubscribeOptions{After: after, Progress: true, Batch: page}))
		},
		"pages":    follow(db),
		"sections": follow(sections{db}),
	}
	got := map[string][]annals.ID{}
	type result struct {
		name string
		ids  []annals.ID
	}
	results := make(chan result)
	n := uint64(0)
	for name, way := range ways {
		n++
		rnd := rand.New(rand.NewPCG(seed, n))
		go func() {
			var ids []annals.ID
			after := annals.Position(0)
			for after < 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(2000))*time.Millisecond)
				for n, err := range way(ctx, after) {
					if err != nil {
						break
					}
					if n.Scanned < after || n.Position > 0 && n.Scanned != n.Position {
						t.Errorf("%s: position %d scanned %d after %d", name, n.Position, n.Scanned, after)
					}
					if n.Position > 0 {
						ids = append(ids, n.ID)
					}
					if after = n.Scanned; rnd.IntN(20) == 0 {
						break // and resume
					}
				}
				cancel()
			}
			results <- result{name, ids}
		}()
	}
	for head(t, db) < 300 {
		grow(rnd)
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
	}
	var want []annals.ID
	for _, r := range all(t, db, q) {
		want = append(want, r.ID)
	}
	for range ways {
		r := <-results
		got[r.name] = r.ids
	}
	for name, ids := range got {
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			t.Errorf("seed %d: %s yields %d records in another order than the log's %d", seed, name, len(ids), len(want))
		}
	}
}

// unbatched yields the records of batches one by one.
func unbatched(t *testing.T, size int, batches iter.Seq2[annals.Notifications, error]) iter.Seq2[annals.Notification, error] {
	return func(yield func(annals.Notification, error) bool) {
		for b, err := range batches {
			if err != nil {
				yield(annals.Notification{}, err)
				return
			}
			if len(b.Records) > size {
				t.Errorf("a batch has %d records, more than %d", len(b.Records), size)
			}
			for _, r := range b.Records {
				if !yield(annals.Notification{Record: r, Scanned: r.Position}, nil) {
					return
				}
			}
			if !yield(annals.Notification{Scanned: b.Scanned, CaughtUp: b.CaughtUp}, nil) {
				return
			}
		}
	}
}

func TestFollow(t *testing.T) {
	db, _ := open(t, nil)
	create(t, db, "a", "A", 1)
	change(t, db, "a", 1)
	t.Run("tells when it has caught up", func(t *testing.T) {
		for n, err := range annals.Follow(t.Context(), db, annals.Query{}, nil) {
			must(t, err)
			equal(t, "caught up", n.CaughtUp, n.Position == 2)
			if n.CaughtUp {
				break
			}
		}
	})
	t.Run("only an empty page is the end", func(t *testing.T) { synctest.Test(t, followCapped) })
	t.Run("a position that does not exist is an error", func(t *testing.T) {
		for _, err := range annals.Follow(t.Context(), db, annals.Query{}, &annals.FollowOptions{After: 3}) {
			fails(t, err, "position 3 does not exist")
		}
	})
	t.Run("a page with a gap is an error", func(t *testing.T) {
		n := 0
		for _, err := range annals.Follow(t.Context(), gap{db}, annals.Query{}, nil) {
			if n++; n == 1 {
				must(t, err)
				continue
			}
			fails(t, err, "position 3 stands in its place")
			break
		}
	})
}

// Pages as long as asked for and shorter ones are followed by the next at once.
func followCapped(t *testing.T) {
	db, _ := open(t, nil)
	for n := range 10 {
		create(t, db, fmt.Sprint(n), "N", 1)
	}
	for _, page := range []int{4, 5, 500} {
		began := time.Now()
		for n, err := range annals.Follow(t.Context(), capped{db}, annals.Query{}, &annals.FollowOptions{Page: page}) {
			must(t, err)
			equal(t, fmt.Sprintf("caught up at position %d, pages of %d", n.Position, page), n.CaughtUp, n.Position == 10)
			if n.Position == 10 {
				break
			}
		}
		equal(t, fmt.Sprintf("pauses between pages of %d", page), time.Since(began), 0)
	}
}

// capped is a notification log that gives 5 records at once at most.
type capped struct{ *annals.DB }

func (c capped) Select(ctx context.Context, start annals.Position, limit int) ([]annals.Record, error) {
	return c.DB.Select(ctx, start, min(limit, 5))
}

// gap is a notification log that skips position 2.
type gap struct{ *annals.DB }

func (g gap) Select(ctx context.Context, start annals.Position, limit int) ([]annals.Record, error) {
	page, err := g.DB.Select(ctx, start, limit)
	if len(page) == 2 {
		page[1].Position = 3
	}
	return page, err
}

func TestBatches(t *testing.T) {
	db, _ := open(t, nil)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		create(t, db, id, id, 1)
	}
	var sizes []int
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for b, err := range db.SubscribeBatches(ctx, annals.Query{}, &annals.SubscribeOptions{Batch: 2}) {
		if err != nil {
			break
		}
		sizes = append(sizes, len(b.Records))
		if b.CaughtUp {
			equal(t, "scanned", b.Scanned, 5)
			cancel()
		}
	}
	equal(t, "sizes", fmt.Sprint(sizes), "[2 2 1]")
}
