package group_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/group"
	"github.com/annals-db/annals/memstore"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// put appends one event to a stream.
func put(t testing.TB, log driver.Log, stream, data string, tags ...string) annals.Position {
	t.Helper()
	r, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{{
		ID: annals.NewID(), Stream: stream, Type: "Noted", Data: []byte(data), Tags: tags,
	}}})
	must(t, err)
	return r.Last
}

// process is a log as one process has it, which can be killed: then nothing of
// it reaches the store any more.
type process struct {
	driver.Log
	killed atomic.Bool
}

var errKilled = errors.New("the process is killed")

func (p *process) State() driver.State { return processState{p, p.Log.(driver.Stater).State()} }

type processState struct {
	p *process
	driver.State
}

func (s processState) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.p.killed.Load() {
		return nil, 0, errKilled
	}
	return s.State.Load(ctx, key)
}

func (s processState) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if s.p.killed.Load() {
		return 0, errKilled
	}
	return s.State.Save(ctx, key, value, expect)
}

func (s processState) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return s.State.Keys(ctx, prefix)
}

// crew is workers of one group on one log, each as in a process of its own, and
// what they dealt with.
type crew struct {
	t       testing.TB
	log     *memstore.Store
	opts    group.Options
	handler func(worker int, r annals.Record) error

	wg   sync.WaitGroup
	mu   sync.Mutex
	seen []seen
}

type seen struct {
	worker int
	r      annals.Record
}

func newCrew(t testing.TB, opts group.Options) *crew {
	c := &crew{t: t, log: memstore.New(nil), opts: opts}
	if c.opts.Lease == 0 {
		c.opts.Lease = 10 * time.Second
	}
	return c
}

// hire starts a worker; kill ends it at once, dismiss in good order.
func (c *crew) hire(worker int) (kill, dismiss func()) {
	p := &process{Log: c.log}
	ctx, cancel := context.WithCancel(context.Background())
	o := c.opts
	o.Worker = fmt.Sprint("worker ", worker)
	g := group.New(annals.New(p, nil), "crew", annals.Query{}, &o)
	done := make(chan struct{})
	c.wg.Go(func() {
		defer close(done)
		err := g.Run(ctx, func(ctx context.Context, r annals.Record) error {
			if p.killed.Load() {
				return errKilled
			}
			if c.handler != nil {
				if err := c.handler(worker, r); err != nil {
					return err
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.seen = append(c.seen, seen{worker, r})
			return nil
		})
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errKilled) {
			c.t.Errorf("Run returned %v", err)
		}
	})
	return func() { p.killed.Store(true); cancel(); <-done }, func() { cancel(); <-done }
}

// positions are those dealt with, in order of dealing.
func (c *crew) positions() (all []annals.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		all = append(all, s.r.Position)
	}
	return all
}

// until waits until the log's events have all been dealt with.
func (c *crew) until(n int) {
	c.t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		got := c.positions()
		slices.Sort(got)
		if len(slices.Compact(got)) >= n {
			return
		}
		if time.Since(begin) > 10*time.Minute { // of the bubble's time
			c.t.Fatalf("only %d of %d events were dealt with", len(slices.Compact(got)), n)
		}
	}
}

// inOrder checks that each event was dealt with, at first in order within its stream.
func (c *crew) inOrder(n int) {
	c.t.Helper()
	first := map[annals.Position]bool{}
	last := map[string]uint64{}
	for _, s := range c.seen {
		if first[s.r.Position] {
			continue // again
		}
		first[s.r.Position] = true
		if s.r.Version != last[s.r.Stream]+1 {
			c.t.Fatalf("version %d of %s was dealt with after version %d", s.r.Version, s.r.Stream, last[s.r.Stream])
		}
		last[s.r.Stream] = s.r.Version
	}
	equal(c.t, "events dealt with", len(first), n)
}

func (c *crew) status() group.Status {
	c.t.Helper()
	s, err := group.Inspect(context.Background(), c.log, "crew")
	must(c.t, err)
	return s
}
