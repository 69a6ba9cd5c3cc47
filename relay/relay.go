package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/lease"
)

// Options are what [New] may be told.
type Options struct {
	// Query selects what is published. Defaults to everything.
	Query driver.Query
	// Key returns the key of an event, within which order is kept. Defaults
	// to its stream, else its first tag.
	Key func(*driver.Record) string
	// Source is the source of the CloudEvents. Defaults to "urn:uuid:" and the
	// log's ID.
	Source string
	// AtEnd lets a relay that has no checkpoint begin at the log's end.
	// Defaults to false: at its beginning.
	AtEnd bool
	// Batch is how many events are read and published together, at most, and no
	// more than about 4 MiB of them. Defaults to 500.
	Batch int
	// Attempts is how often an event is tried before it is set aside as a dead
	// letter. Defaults to 0: for ever, unless the sink says that it is of no use.
	Attempts int
	// Timeout is how long one call of the sink may take. Where a batch takes
	// longer, fewer events are published together. Defaults to 30 s.
	Timeout time.Duration
	// Backoff returns the pause after so many failed attempts, from 1.
	// Defaults to 100 ms, half as much again each time up to 30 s, with jitter.
	Backoff func(attempts int) time.Duration
	// State keeps the checkpoint and the dead letters. Defaults to the log's
	// own state, which a log that is open read-only has not.
	State driver.State
	// TTL is how long it takes until another process takes the relay over from
	// one that was killed or cut off. Defaults to 10 s.
	TTL time.Duration
	// Logger is told what is tried again and set aside. Defaults to silence.
	Logger *slog.Logger
}

// Relay publishes a log's events to a sink.
type Relay struct {
	log   driver.Log
	name  string
	sink  Sink
	opts  Options
	state driver.State
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// New returns a relay of log to sink. Its checkpoint lies under name, which is
// letters, digits, dots, dashes and underscores.
func New(log driver.Log, name string, sink Sink, opts *Options) (*Relay, error) {
	r := &Relay{log: log, name: name, sink: sink}
	if opts != nil {
		r.opts = *opts
	}
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("a relay cannot be called %q: letters, digits, dots, dashes and underscores", name)
	}
	o := &r.opts
	if r.state = o.State; r.state == nil {
		if s, ok := log.(driver.Stater); ok {
			r.state = s.State()
		}
	}
	if r.state == nil {
		return nil, fmt.Errorf("relay %s: this log has no state to keep the checkpoint in: it is open read-only; open it for writing, or say where (Options.State)", name)
	}
	if o.Key == nil {
		o.Key = keyOf
	}
	if o.Batch <= 0 {
		o.Batch = 500
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Backoff == nil {
		o.Backoff = pause
	}
	if o.TTL <= 0 {
		o.TTL = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return r, nil
}

func keyOf(r *driver.Record) string {
	if r.Stream == "" && len(r.Tags) > 0 {
		return r.Tags[0]
	}
	return r.Stream
}

func pause(attempts int) time.Duration {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, 30*time.Second
	d := b.NextBackOff()
	for range min(attempts, 20) - 1 {
		d = b.NextBackOff()
	}
	return d
}

// Run publishes until ctx ends, and returns its error then. While another
// process runs the same relay, it waits to take over. It returns early with a
// [*CheckpointError], and with the errors of the log.
func (r *Relay) Run(ctx context.Context) error {
	for {
		err := r.term(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, lease.ErrLost) && !errors.Is(err, lease.ErrRanOut) {
			return fmt.Errorf("relay %s: %w", r.name, err)
		}
		r.opts.Logger.Warn("another process may have taken the relay over", "relay", r.name, "error", err)
	}
}

// Drain publishes what the log has now and returns the position up to which
// everything is published or set aside.
func (r *Relay) Drain(ctx context.Context) (driver.Position, error) {
	var at driver.Position
	err := r.hold(ctx, func(ctx context.Context, s *session) error {
		info, err := r.log.Info(ctx)
		if err != nil {
			return err
		}
		err = s.publish(ctx, info.Head)
		at = s.checkpoint.Position
		return err
	})
	if err != nil {
		err = fmt.Errorf("relay %s: %w", r.name, err)
	}
	return at, err
}

// term publishes for as long as this process holds the lease.
func (r *Relay) term(ctx context.Context) error {
	return r.hold(ctx, func(ctx context.Context, s *session) error {
		for {
			head, err := r.log.Wait(ctx, s.checkpoint.Position)
			if err == nil {
				err = s.publish(ctx, head)
			}
			if err != nil {
				return err
			}
		}
	})
}

// hold calls f while this process holds the lease.
func (r *Relay) hold(ctx context.Context, f func(context.Context, *session) error) error {
	l, err := r.acquire(ctx)
	if err != nil {
		return err
	}
	holding, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		r.renew(holding, l, cancel)
	}()
	s, err := r.begin(holding, l)
	if err == nil {
		err = f(holding, s)
	}
	if cause := context.Cause(holding); cause != nil && ctx.Err() == nil {
		err = cause
	}
	cancel(nil)
	<-renewed
	leaving, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if releaseErr := l.Release(leaving); err == nil {
		err = releaseErr
	}
	return err
}

// acquire waits until no other process runs the relay.
func (r *Relay) acquire(ctx context.Context) (*lease.Lease, error) {
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s", os.Getpid(), host)
	e, ok := r.log.(driver.Exclusive)
	alone := ok && e.Exclusive() && r.opts.State == nil
	k := lease.New(r.state, holder, &lease.Options{TTL: r.opts.TTL, Alone: alone})
	for {
		l, err := k.Acquire(ctx, leaseKey(r.name))
		var held *lease.HeldError
		if err == nil || !errors.As(err, &held) {
			return l, err
		}
		if err := sleep(ctx, r.opts.TTL/10); err != nil {
			return nil, err
		}
	}
}

// renew keeps the lease until ctx ends, and ends it when the lease is lost.
func (r *Relay) renew(ctx context.Context, l *lease.Lease, cancel context.CancelCauseFunc) {
	for sleep(ctx, r.opts.TTL/3) == nil {
		err := l.Renew(ctx)
		if errors.Is(err, lease.ErrLost) || err != nil && !l.Valid() {
			cancel(fmt.Errorf("%w: %w", lease.ErrLost, err))
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func leaseKey(name string) string { return "relay/" + name + "/checkpoint" }
