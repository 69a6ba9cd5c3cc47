package projection

import (
	"log/slog"
	"time"
)

// ErrorPolicy says what follows when a handler has failed [Options].Attempts times.
type ErrorPolicy int

// The policies.
const (
	// Stop ends Run with an [*EventError]; nothing of the event and nothing
	// after it takes effect.
	Stop ErrorPolicy = iota
	// Retry tries for ever, and lets the events of its partition wait.
	Retry
	// DeadLetter sets the event aside with its error, and all later ones of
	// its key behind it, until it is retried or dropped. Other keys go on.
	DeadLetter
)

// Options are the options of [Projection.Open].
type Options struct {
	// Partitions is how many groups of keys are handled beside each other,
	// each in the log's order, each with a checkpoint and transactions of its
	// own. It cannot change without a reset. Defaults to 1.
	Partitions int
	// Batch is how many events one transaction handles at most. Defaults to 1,000.
	Batch int
	// BatchTime is when a transaction is committed though there is more.
	// Defaults to 200 ms.
	BatchTime time.Duration
	// OnError says what follows when an event's handler fails. Defaults to Stop.
	OnError ErrorPolicy
	// Attempts is how often an event is tried before OnError. Each attempt is
	// a transaction. Defaults to 3.
	Attempts int
	// Backoff returns the pause after so many failed attempts, from 1.
	// Defaults to 100 ms, doubled each time up to 30 s.
	Backoff func(attempts int) time.Duration
	// Poll is how often a runner looks for what others ask of it (pause,
	// reset, retry), and how old at most the checkpoint of an idle projection
	// is. Defaults to 1 s.
	Poll time.Duration
	// Logger is told what is tried again. Defaults to nil, silence.
	Logger *slog.Logger
}

func (o *Options) orDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Partitions <= 0 {
		out.Partitions = 1
	}
	if out.Batch <= 0 {
		out.Batch = 1000
	}
	if out.BatchTime <= 0 {
		out.BatchTime = 200 * time.Millisecond
	}
	if out.Attempts <= 0 {
		out.Attempts = 3
	}
	if out.Backoff == nil {
		out.Backoff = func(attempts int) time.Duration {
			return min(100*time.Millisecond<<min(attempts-1, 20), 30*time.Second)
		}
	}
	if out.Poll <= 0 {
		out.Poll = time.Second
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
