package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/filestore"
)

// large is a log of many events, made once for several rows.
type large struct {
	dir    string
	filled filled
	err    error
	made   bool
}

// filled is what making a large log found.
type filled struct {
	Small, Large float64 // events a second of 64 writers, at 100,000 events and at all
	Ratio        float64
	Anonymous    int64 // the most while filling
	Encoded      int64 // bytes of its encoded events
	Events       int
}

// make fills the log, the first time it is called.
func (l *large) make(e env, streams int, random bool) (*large, error) {
	if l.made {
		return l, l.err
	}
	l.made = true
	l.dir, _ = e.scratch("large")
	scratch, remove := e.scratch("small")
	defer remove()
	l.err = ask(task{Name: "fill", Dir: l.dir, Scratch: scratch, Events: e.events, Streams: streams, Random: random,
		Env: childEnv{e.rounds, int64(e.window)}}, &l.filled)
	return l, l.err
}

func (l *large) remove() { os.RemoveAll(l.dir) }

const smallEvents = 100_000

// fillTask fills a store with t.Events, and compares the rate of appends to it
// with that to one of smallEvents.
func fillTask(t task) (f filled, err error) {
	log, err := filestore.Open(t.Dir, nil)
	if err != nil {
		return f, err
	}
	defer log.Close()
	most := measure.WatchMemory()
	if f.Encoded, err = fillWith(log, t); err != nil {
		return f, err
	}
	f.Anonymous, f.Events = most(), t.Events
	if t.Scratch == "" {
		return f, nil
	}
	small, err := filestore.Open(t.Scratch, nil)
	if err != nil {
		return f, err
	}
	defer small.Close()
	if err := fill(small, smallEvents); err != nil {
		return f, err
	}
	e := env{rounds: t.Env.Rounds, window: time.Duration(t.Env.Window)}
	var appended float64
	c, err := measure.Compare(e.rounds,
		func() (float64, error) { return appendRate(e, small, 64, 1) },
		func() (float64, error) {
			before, err := log.Info(context.Background())
			if err != nil {
				return 0, err
			}
			v, err := appendRate(e, log, 64, 1)
			if err != nil {
				return 0, err
			}
			after, err := log.Info(context.Background())
			appended += float64(after.Head - before.Head)
			return v, err
		})
	f.Small, f.Large, f.Ratio = c.Base, c.Ours, c.Ratio
	f.Encoded += int64(appended) * encodedSize
	f.Events += int(appended)
	return f, err
}

// encodedSize is what one event of appendRate takes encoded.
var encodedSize = func() int64 {
	e := newProducer(0, 1).next().Events[0]
	return int64(len(encodeEvent(nil, &e, e.Occurred)))
}()

// fillWith appends t.Events in batches of 1,000 and returns their encoded size.
func fillWith(log *filestore.Store, t task) (int64, error) {
	const writers, batch = 4, 1000
	names := streamNames
	if t.Streams != streams {
		names = make([]string, t.Streams)
		for i := range names {
			names[i] = fmt.Sprintf("item-%07d", i)
		}
	}
	var encoded atomic.Int64
	err := measure.Together(writers, func(w int) error {
		p := newProducer(w, batch)
		p.stream = w * len(names) / writers
		p.names, p.unordered = names, t.Random
		for done := 0; done < t.Events/writers; done += batch {
			b := p.next()
			if done == 0 {
				first := encodeEvent(nil, &b.Events[0], b.Events[0].Occurred)
				encoded.Add(int64(len(first)) * int64(t.Events/writers))
			}
			if _, err := log.Append(context.Background(), b); err != nil {
				return err
			}
		}
		return nil
	})
	return encoded.Load(), err
}

// rebuilt is what making all index files again found.
type rebuilt struct {
	Took      time.Duration
	Anonymous int64
}

func rebuildTask(t task) (r rebuilt, err error) {
	most := measure.WatchMemory()
	began := time.Now()
	err = filestore.RebuildIndexes(context.Background(), t.Dir, nil, nil)
	return rebuilt{time.Since(began), most()}, err
}

// appendTask appends with 64 writers until it is killed.
func appendTask(t task) error {
	log, err := filestore.Open(t.Dir, nil)
	if err != nil {
		return err
	}
	fmt.Println("{}") // it has begun
	e := env{window: time.Hour}
	_, err = appendRate(e, log, 64, 1)
	return err
}
