package process

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
)

// Options are the options of [NewSystem].
type Options struct {
	// Attempts is how often a reaction that returns an error is tried.
	// Defaults to 5.
	Attempts int
	// Backoff is the pause after the n-th failure, from 1. Defaults to 100 ms, doubled each time up to 10 s, of which up to a
	// half is left to chance.
	Backoff func(n int) time.Duration
	// Park sets an event aside whose reaction has failed so often: [Parked] is
	// appended in its place, and the follower goes on. Defaults to false: Run
	// and Settle return the error, and the event is next when they are called again.
	Park bool
	// Interval is how often the clock is looked at for timers that have become
	// due. Defaults to 500 ms.
	Interval time.Duration
	// Logger is told of what fails and is tried again. Defaults to nil, silence.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Attempts <= 0 {
		out.Attempts = 5
	}
	if out.Backoff == nil {
		out.Backoff = func(n int) time.Duration {
			d := min(100*time.Millisecond<<min(n-1, 10), 10*time.Second)
			return d - rand.N(d/2)
		}
	}
	if out.Interval <= 0 {
		out.Interval = 500 * time.Millisecond
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

// Parked says that an event has had no effect since the reaction to it failed.
type Parked struct {
	App      string          // that was to react
	From     string          // the application whose event it is
	Position annals.Position // of the event in its log
	Event    string          // its ID
	Type     string
	Error    string
}

var _ = annals.Declare[Parked]("process.Parked")

// Tags returns "parked:APPLICATION".
func (p Parked) Tags() []string { return []string{"parked:" + p.App} }

// passing reports whether what failed may succeed later without anything being
// mended.
func passing(err error) bool {
	var conflict *annals.ConflictError
	return errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) || errors.As(err, &conflict)
}
