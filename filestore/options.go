package filestore

import (
	"log/slog"
	"time"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/quorum"
	"github.com/annals-db/annals/internal/vfs"
)

// Options are what [Open] may be told.
type Options struct {
	// ReadOnly opens the store without its lock, beside a writer in another
	// process or none, and follows what the writer makes durable. Defaults to false.
	ReadOnly bool
	// MustExist refuses to make a new store. Defaults to false.
	MustExist bool
	// LogID is the log's ID where [Open] makes the store, for a copy of another
	// log; a store that is there keeps its own. Defaults to a random one.
	LogID driver.ID
	// SegmentBytes is the size at which a segment file is sealed and the next
	// one begun; the first ones are sealed at 4 MiB, 8 MiB and so on up to it.
	// It may differ from open to open. Defaults to 32 MiB.
	SegmentBytes int64
	// CacheBytes is the memory for streams that are read again and again and
	// for blocks of segments, a seventh each, and for index files, the rest.
	// Defaults to 63 MiB, with which a log of 10 million events
	// in 1 million streams with random IDs is searched without going to the disk
	// for what is not there.
	CacheBytes int64
	// Limits are the most the store takes. Defaults to driver.DefaultLimits.
	Limits driver.Limits
	// Clock tells the time of an append. Defaults to time.Now.
	Clock func() time.Time
	// PollInterval is how often a store that is open read-only looks for new
	// records while someone waits for them. Defaults to 5 ms, rising to 50 ms
	// while nothing comes.
	PollInterval time.Duration
	// Order has a cluster order what is appended, before it is taken; only
	// package replica gives one. Defaults to nil: this store decides.
	Order *quorum.Order
	// Logger is told what was found and done without being asked: a torn tail
	// set aside, an index rebuilt, a clock far behind. Defaults to silence.
	Logger *slog.Logger
	// FS is the file system; only Annals' own tests can name another. Defaults
	// to that of the operating system.
	FS vfs.FS
}

const (
	defaultSegmentBytes = 32 << 20
	minSegmentBytes     = 4 << 10
	defaultCacheBytes   = 63 << 20
	defaultPollInterval = 5 * time.Millisecond
)

// withDefaults returns a copy of o, which may be nil, with every default in place.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.SegmentBytes <= 0 {
		out.SegmentBytes = defaultSegmentBytes
	}
	out.SegmentBytes = max(out.SegmentBytes, minSegmentBytes)
	if out.CacheBytes <= 0 {
		out.CacheBytes = defaultCacheBytes
	}
	if out.Limits == (driver.Limits{}) {
		out.Limits = driver.DefaultLimits
	}
	if out.LogID == (driver.ID{}) {
		out.LogID = newLogID()
	}
	if out.Clock == nil {
		out.Clock = time.Now
	}
	if out.PollInterval <= 0 {
		out.PollInterval = defaultPollInterval
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.FS == nil {
		out.FS = vfs.OS
	}
	return out
}
