package replica

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

// Options are what [Open] may be told.
type Options struct {
	// Name is the log's name in the cluster: letters, digits, dashes and
	// underscores. Logs of other names in the same account are apart. Defaults to "annals".
	Name string
	// Node is how this node is called in reports. Defaults to the host's name.
	Node string
	// NATS are further options of the connection: credentials, TLS. Defaults to none.
	NATS []nats.Option
	// System is the URL of the cluster with credentials of its system account,
	// through which the servers say whether they sync every write. Defaults to
	// "", with which nothing can be verified.
	System string
	// Unverified opens the log though nothing says that the servers sync every
	// write. Receipts say so. Defaults to false.
	Unverified bool
	// Replicas is how many servers keep the stream, at least. Defaults to 3.
	Replicas int
	// Seed publishes the log in this node's directory where the stream is
	// missing, empty or ends before it: an existing log is moved under a
	// cluster, or a stream that was lost is made again. No other node of the
	// log should be open. Defaults to false.
	Seed bool
	// MustExist refuses to make a new log in the cluster. Defaults to false.
	MustExist bool
	// Takeover is how long the sequencer may be silent before another node
	// takes its place. Defaults to 3 s.
	Takeover time.Duration
	// Timeout is how long opening, and an append without a nearer deadline,
	// waits for the cluster. Defaults to 15 s.
	Timeout time.Duration
	// Limits are the most the log takes; equal on all nodes. Defaults to driver.DefaultLimits.
	Limits driver.Limits
	// Clock tells the time of an append where this node sequences. Defaults to time.Now.
	Clock func() time.Time
	// Store are further options of this node's copy; LogID, ReadOnly, Limits,
	// Clock and Order are set by this package. Defaults to nil.
	Store *filestore.Options
	// Logger is told what happens without being asked: hand-overs, messages
	// that are not of the log, a node that stops. Defaults to silence.
	Logger *slog.Logger
}

const (
	defaultName     = "annals"
	defaultReplicas = 3
	defaultTakeover = 3 * time.Second
	defaultTimeout  = 15 * time.Second
)

// withDefaults returns a copy of o, which may be nil, with every default in place.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = defaultName
	}
	if out.Node == "" {
		out.Node = hostname()
	}
	if out.Replicas <= 0 {
		out.Replicas = defaultReplicas
	}
	if out.Takeover <= 0 {
		out.Takeover = defaultTakeover
	}
	if out.Timeout <= 0 {
		out.Timeout = defaultTimeout
	}
	if out.Limits == (driver.Limits{}) {
		out.Limits = driver.DefaultLimits
	}
	if out.Clock == nil {
		out.Clock = time.Now
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
