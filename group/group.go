package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// Options are the options of [New]. Partitions, Tag and whether there is a Key
// are fixed when the group first runs; all workers must agree on them.
type Options struct {
	// Partitions is how many parts the events are divided into, and so how many
	// workers can be busy. Defaults to 8.
	Partitions int
	// Tag divides the events by the value of the tag with this key instead of
	// by stream; those that have none are one part. Defaults to "", by stream.
	Tag string
	// Key divides the events by what it returns, instead. It must return the same
	// for an event each time. Defaults to nil.
	Key func(annals.Record) string
	// After is the position that a new group begins after. Defaults to 0, the start of the log.
	After annals.Position
	// FromHead begins a new group after the head. Defaults to false.
	FromHead bool
	// Lease is the time within which a killed worker's partitions move to
	// others. Defaults to 10 s.
	Lease time.Duration
	// Attempts is how often an event is tried before it is parked. Defaults to 5.
	Attempts int
	// Backoff is the pause after an event's n-th failure, from 1. Defaults to
	// 100 ms, doubled each time up to 10 s, of which up to a half is left to chance.
	Backoff func(n int) time.Duration
	// PassParked lets later events of a key go on while an earlier one is
	// parked. Defaults to false: they wait behind it.
	PassParked bool
	// MaxParked is how many events may be parked in a partition; beyond it the
	// partition stands still. Defaults to 1,000.
	MaxParked int
	// CommitEvery is after how many events of a partition its position is kept
	// for sure. Defaults to 100.
	CommitEvery int
	// CommitInterval is after which time it is kept at the latest. Defaults to 1 s.
	CommitInterval time.Duration
	// Worker names the worker for people. Defaults to host and process ID.
	Worker string
	// Logger is told of failures, parked events and partitions that move.
	// Defaults to nil, silence.
	Logger *slog.Logger
}

// Group is a consumer group: a subscription that workers share. Make it with [New].
type Group struct {
	db    *annals.DB
	name  string
	query annals.Query
	opts  Options
}

// Handler deals with an event. It returns nil when it is done with it; an error
// has it delivered again. ctx ends when the partition is no longer the worker's.
type Handler func(ctx context.Context, r annals.Record) error

// New returns the group of a name, which may contain anything but "/", over the
// events that match q. Nothing happens until [Group.Run].
func New(db *annals.DB, name string, q annals.Query, opts *Options) *Group {
	g := &Group{db: db, name: name, query: q}
	if opts != nil {
		g.opts = *opts
	}
	o := &g.opts
	setDefault(&o.Partitions, 8)
	setDefault(&o.Lease, 10*time.Second)
	setDefault(&o.Attempts, 5)
	setDefault(&o.MaxParked, 1000)
	setDefault(&o.CommitEvery, 100)
	setDefault(&o.CommitInterval, time.Second)
	if o.Backoff == nil {
		o.Backoff = backoff
	}
	if o.Worker == "" {
		host, _ := os.Hostname()
		o.Worker = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return g
}

func setDefault[N int | time.Duration](n *N, value N) {
	if *n <= 0 {
		*n = value
	}
}

func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n-1, 10), 10*time.Second)
	return d - rand.N(d/2)
}

// key is what keeps events together and in order.
func (g *Group) key(r *annals.Record) string {
	switch {
	case g.opts.Key != nil:
		return g.opts.Key(*r)
	case g.opts.Tag != "":
		for _, t := range r.Tags {
			if key, value, _ := strings.Cut(t, ":"); key == g.opts.Tag {
				return value
			}
		}
		return ""
	}
	return r.Stream
}

// by says in words what the events are divided by.
func (g *Group) by() string {
	switch {
	case g.opts.Key != nil:
		return "function"
	case g.opts.Tag != "":
		return "tag " + g.opts.Tag
	}
	return "stream"
}

// partition returns the number of the partition that key is in: FNV-1a, which
// is part of what is kept, modulo their number.
func partition(key string, partitions int) int {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int(h % uint32(partitions))
}

// errState says why there is no state to keep a group in.
func errState(log driver.Log) error {
	if _, ok := log.(driver.Stater); !ok {
		return errors.New("the store keeps no state beside the log, which a group needs for its leases and positions")
	}
	return errors.New("the log is open read-only here, so its state cannot be written: a file store has one writer process, " +
		"and the workers of a group run in that one; workers in several processes need a server, SQLite, PostgreSQL or a cluster")
}

// keeper returns the state and who takes leases in it.
func (g *Group) keeper() (driver.State, *lease.Keeper, error) {
	log := g.db.Log()
	s, _ := log.(driver.Stater)
	if s == nil || s.State() == nil {
		return nil, nil, errState(log)
	}
	x, _ := log.(driver.Exclusive)
	state := s.State()
	return state, lease.New(state, g.opts.Worker, &lease.Options{TTL: g.opts.Lease / 2, Alone: x != nil && x.Exclusive()}), nil
}
