package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/codec"
	"github.com/annals-db/annals/collab"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// The rows of package collab: how soon an edit is at another editor, a text with
// a long history, and many who write at once. Server and editors are one process.

const (
	longEdits   = 250_000
	typists     = 50
	typingEvery = 200 * time.Millisecond
)

func collabRows() []row {
	return []row{
		{"an edit at another editor, by WebSocket, durable first", "≤ 50 ms, median", edited},
		{"opening a text of 250,000 edits from its snapshots", "≤ 1 s", opening},
		{"any version of that text, with who wrote what", "≤ 150 ms, 95th of 100", anyVersion},
		{"50 editors writing in one text, 5 edits/s each", "≥ 0.95 of the edits in time", crowd},
	}
}

// texts serves the texts of a store.
type texts struct {
	log  *filestore.Store
	docs *collab.Documents
	url  string
	stop func()
}

func serveTexts(e env) (*texts, error) {
	dir, remove := e.scratch("collab")
	log, err := filestore.Open(dir, nil)
	if err != nil {
		remove()
		return nil, err
	}
	docs, err := collab.New(context.Background(), annals.New(log, nil), nil)
	if err != nil {
		return nil, err
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		docs.ServeEditor(w, r, "text", r.URL.Query().Get("author"))
	}))
	return &texts{log, docs, "ws" + strings.TrimPrefix(srv.URL, "http"), func() {
		docs.Close()
		srv.Close()
		_ = log.Close()
		remove()
	}}, nil
}

func (t *texts) editor(author string) (*collab.Client, error) {
	return collab.Dial(context.Background(), t.url+"/?author="+author, &collab.ClientOptions{Pause: -1})
}

// edited compares an edit that is seen by another with a plain append.
func edited(e env) (result, error) {
	t, err := serveTexts(e)
	if err != nil {
		return result{}, err
	}
	defer t.stop()
	ctx := context.Background()
	ann, err := t.editor("ann")
	if err != nil {
		return result{}, err
	}
	defer ann.Close()
	bob, err := t.editor("bob")
	if err != nil {
		return result{}, err
	}
	defer bob.Close()
	edit := func() error {
		_, version := bob.Text()
		if err := ann.Edit(func(now collab.Text) collab.Change { return collab.Insert(now.Len(), "x") }); err != nil {
			return err
		}
		return bob.Reach(ctx, version+1)
	}
	plain := func() error {
		_, err := t.log.Append(ctx, driver.Batch{Events: []driver.Event{{ID: annals.NewID(), Stream: "plain-1", Type: "plain", Data: []byte(`{"x":1}`)}}})
		return err
	}
	c, err := measure.Compare(e.rounds,
		func() (float64, error) { return each(e.window, plain) },
		func() (float64, error) { return each(e.window, edit) })
	return result{measure.Duration(c.Ours), measure.Duration(c.Base) + ", a durable append", fmt.Sprintf("%.2f×", c.Ratio), c.Ours <= 0.05}, err
}

// withLong writes a text of 250,000 edits, as somebody types and mends, and
// calls fn with its store, its snapshots kept, and how long a replay of all takes.
func withLong(e env, fn func(log driver.Log, replay float64) (result, error)) (result, error) {
	dir, remove := e.scratch("text")
	defer remove()
	log, err := filestore.Open(dir, nil)
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	if err := writeLong(log); err != nil {
		return result{}, err
	}
	replay, err := openText(log, &collab.Options{SnapshotEvery: -1}, nil)
	if err != nil {
		return result{}, err
	}
	if _, err := openText(log, nil, nil); err != nil { // which keeps the snapshots
		return result{}, err
	}
	return fn(log, replay)
}

func writeLong(log driver.Log) error {
	rnd := rand.New(rand.NewPCG(1, 1))
	at, length := 0, 0
	for from := 0; from < longEdits; from += 1000 {
		var b driver.Batch
		for i := from; i < from+1000; i++ {
			if rnd.IntN(60) == 0 {
				at = rnd.IntN(length + 1)
			}
			change := collab.Insert(at, string(rune('a'+rnd.IntN(26))))
			if at > 0 && rnd.IntN(6) == 0 {
				at--
				length--
				change = collab.Delete(at, 1)
			} else {
				at++
				length++
			}
			data, err := codec.JSON.Marshal(collab.TextEdited{Change: change, Client: "window", Seq: uint64(i) + 1})
			if err != nil {
				return err
			}
			b.Events = append(b.Events, driver.Event{ID: annals.NewID(), Stream: "text-text", Type: "TextEdited", Data: data,
				Metadata: driver.NewMetadata(map[string]string{"actor": []string{"ann", "bob", "carol"}[i/700%3]})})
		}
		if _, err := log.Append(context.Background(), b); err != nil {
			return err
		}
	}
	return nil
}

// openText opens the text in a new process's state, calls fn with it and returns how
// long opening took, in seconds.
func openText(log driver.Log, opts *collab.Options, fn func(d *collab.Document) error) (float64, error) {
	docs, err := collab.New(context.Background(), annals.New(log, nil), opts)
	if err != nil {
		return 0, err
	}
	defer docs.Close()
	began := time.Now()
	d, err := docs.Open(context.Background(), "text")
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if _, version := d.Text(); version != longEdits {
		return 0, fmt.Errorf("the text is at version %d", version)
	}
	if fn != nil {
		err = fn(d)
	}
	return took, err
}

func opening(e env) (result, error) {
	return withLong(e, func(log driver.Log, replay float64) (result, error) {
		var all []float64
		for range e.rounds {
			took, err := openText(log, nil, nil)
			if err != nil {
				return result{}, err
			}
			all = append(all, took)
		}
		ours := measure.Median(all)
		return result{measure.Duration(ours), measure.Duration(replay) + ", a replay", fmt.Sprintf("%.3f×", ours/replay), ours <= 1}, nil
	})
}

func anyVersion(e env) (result, error) {
	return withLong(e, func(log driver.Log, replay float64) (result, error) {
		var all []float64
		rnd := rand.New(rand.NewPCG(2, 2))
		_, err := openText(log, nil, func(d *collab.Document) error {
			for range 100 {
				took, err := took(func() error {
					_, err := d.At(context.Background(), uint64(1+rnd.IntN(longEdits)))
					return err
				})
				if err != nil {
					return err
				}
				all = append(all, took)
			}
			return nil
		})
		ours := quantile(all, 0.95)
		return result{measure.Duration(ours), measure.Duration(replay) + ", a replay", fmt.Sprintf("%.3f×", ours/replay), ours <= 0.15}, err
	})
}

// crowd has 50 editors type for a while, each told to type at its own times
// whatever the server does, and a 51st look on.
func crowd(e env) (result, error) {
	t, err := serveTexts(e)
	if err != nil {
		return result{}, err
	}
	defer t.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*e.window+time.Minute)
	defer cancel()
	var clients []*collab.Client
	for i := range typists + 1 {
		c, err := t.editor(fmt.Sprint("user", i))
		if err != nil {
			return result{}, err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	looker, clients := clients[typists], clients[:typists]
	edits := int(10 * e.window / typingEvery)
	var mu sync.Mutex
	var settled []float64
	began := time.Now()
	err = measure.Together(typists, func(writer int) error {
		c := clients[writer]
		rnd := rand.New(rand.NewPCG(3, uint64(writer)))
		start := began.Add(time.Duration(rnd.Int64N(int64(typingEvery))))
		for i := range edits {
			time.Sleep(time.Until(start.Add(time.Duration(i) * typingEvery)))
			typed := time.Now()
			if err := c.Edit(func(now collab.Text) collab.Change { return collab.Insert(rnd.IntN(now.Len()+1), "x") }); err != nil {
				return err
			}
			if err := c.Settle(ctx); err != nil {
				return err
			}
			mu.Lock()
			settled = append(settled, time.Since(typed).Seconds())
			mu.Unlock()
		}
		return nil
	})
	if err == nil {
		err = looker.Reach(ctx, uint64(typists*edits))
	}
	took := time.Since(began)
	offered := time.Duration(edits) * typingEvery
	ratio := offered.Seconds() / took.Seconds()
	return result{
		fmt.Sprintf("%.0f edits/s, accepted after %s (95th %s)", float64(typists*edits)/took.Seconds(), measure.Duration(measure.Median(settled)), measure.Duration(quantile(settled, 0.95))),
		"250 edits/s offered", fmt.Sprintf("%.2f", ratio), ratio >= 0.95,
	}, err
}

// each returns the median of how long a call of fn takes.
func each(window time.Duration, fn func() error) (float64, error) {
	var all []float64
	for began := time.Now(); time.Since(began) < window; {
		took, err := took(fn)
		if err != nil {
			return 0, err
		}
		all = append(all, took)
	}
	return measure.Median(all), nil
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return v[int(q*float64(len(v)-1))]
}
