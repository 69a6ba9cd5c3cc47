package pgstore

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/annals-db/annals/driver"
)

// Options are what [Open] may be told.
type Options struct {
	// Schema is the PostgreSQL schema that holds the log; a database holds as
	// many logs as it has such schemas. Defaults to the URL's parameter
	// "schema", else "annals".
	Schema string
	// ReadOnly opens a log that exists for reading, on a standby as well, and
	// changes nothing. Defaults to false.
	ReadOnly bool
	// MustExist refuses to make a new log. Defaults to false.
	MustExist bool
	// LogID is the log's ID where [Open] makes it, for a copy of another log;
	// a log that is there keeps its own. Defaults to a random one.
	LogID driver.ID
	// Limits are the most the store takes. Defaults to driver.DefaultLimits.
	Limits driver.Limits
	// Clock tells the time of an append. Defaults to the database server's
	// clock, one for all processes.
	Clock func() time.Time
	// PollInterval is how often the log's head is looked at while someone
	// waits and the server cannot wake this process: behind a pooler, on a
	// standby, while the connection that listens is being made again. Defaults
	// to 50 ms.
	PollInterval time.Duration
	// MaxConns bounds the connections of a store that is opened by URL; the
	// URL's parameter "pool_max_conns" goes before. Defaults to 8.
	MaxConns int32
	// Logger is told what was found and done without being asked: a schema
	// made or migrated, a connection made again. Defaults to silence.
	Logger *slog.Logger
}

const (
	defaultSchema       = "annals"
	defaultPollInterval = 50 * time.Millisecond
	defaultMaxConns     = 8
	maxNameBytes        = 2000      // what an index entry of PostgreSQL has room for
	maxBatchBytes       = 256 << 20 // what one statement can carry with ease
)

var schemaName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]*$`)

// withDefaults returns a copy of o, which may be nil, with every default in place.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Schema == "" {
		out.Schema = defaultSchema
	}
	if len(out.Schema) > 63 || !schemaName.MatchString(out.Schema) {
		return out, fmt.Errorf("schema %q: a name of a log's schema is letters, digits and underscores, up to 63 bytes", out.Schema)
	}
	if out.Limits == (driver.Limits{}) {
		out.Limits = driver.DefaultLimits
	}
	if l := out.Limits; l.NameBytes > maxNameBytes || l.BatchBytes > maxBatchBytes {
		return out, fmt.Errorf("limits: at most %d name bytes and %d batch bytes", maxNameBytes, maxBatchBytes)
	}
	if out.PollInterval <= 0 {
		out.PollInterval = defaultPollInterval
	}
	if out.MaxConns <= 0 {
		out.MaxConns = defaultMaxConns
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}
