package sqlitestore

import (
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// Options are what [Open] may be told.
type Options struct {
	// ReadOnly opens the log for reading only and never writes to the file.
	// Defaults to false.
	ReadOnly bool
	// MustExist refuses to make a new log. Defaults to false.
	MustExist bool
	// LogID is the log's ID where [Open] makes the log, for a copy of another
	// log; a log that is there keeps its own. Defaults to a random one.
	LogID driver.ID
	// Limits are the most the store takes. Defaults to driver.DefaultLimits.
	Limits driver.Limits
	// Clock tells the time of an append. Defaults to time.Now.
	Clock func() time.Time
	// BusyTimeout is how long an append waits while another process, or a
	// transaction of the application on [Store.DB], writes to the file, before
	// it fails with driver.ErrUnavailable. Defaults to 10 s.
	BusyTimeout time.Duration
	// PollInterval is how often the file is looked at for what other processes
	// have appended while someone waits for it. Appends through this handle
	// wake without it. Defaults to 5 ms, rising to 50 ms while nothing comes.
	PollInterval time.Duration
	// Logger is told what was found without being asked, such as corruption.
	// Defaults to silence.
	Logger *slog.Logger
}

const (
	defaultBusyTimeout  = 10 * time.Second
	defaultPollInterval = 5 * time.Millisecond
	maxPollInterval     = 50 * time.Millisecond
)

// withDefaults returns a copy of o, which may be nil, with every default in place.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.LogID == (driver.ID{}) {
		out.LogID = uuid.New()
	}
	if out.Limits == (driver.Limits{}) {
		out.Limits = driver.DefaultLimits
	}
	if out.Clock == nil {
		out.Clock = time.Now
	}
	if out.BusyTimeout <= 0 {
		out.BusyTimeout = defaultBusyTimeout
	}
	if out.PollInterval <= 0 {
		out.PollInterval = defaultPollInterval
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
