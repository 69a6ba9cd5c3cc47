package driver

import (
	"context"
	"iter"
	"time"
)

// Log is an event log: what a store fulfils. All methods may be called by any
// number of goroutines at once. After Close they return [ErrClosed].
type Log interface {
	// Append appends b whole or not at all, and returns once it is as durable
	// as the receipt says. It looks, in this order, at
	//
	//  1. the form of the batch and the limits ([Validate]): *[InvalidError] or *[LimitError];
	//  2. the IDs, over the whole history: if the log holds exactly this batch
	//     under these IDs with the same content ([SameContent]), the first
	//     receipt is returned with Repeated set, whatever its Time; if an ID is known with other
	//     content, in another order or batch, or only a part of the IDs is known, *[IDError];
	//  3. the conditions: the first that fails is a *[ConflictError], whose
	//     Head can already be read. A condition after a position beyond the
	//     head is a *[PositionError].
	//
	// On an error nothing was appended, with one exception: an error that
	// wraps [ErrOutcomeUnknown] (a context that ended or a connection that
	// broke after the batch was handed over) leaves it open. Appending the
	// same batch again then decides it.
	//
	// The batch's memory is the caller's again when Append returns, unless
	// the error wraps [ErrOutcomeUnknown].
	Append(ctx context.Context, b Batch) (Receipt, error)

	// Read yields the records that match q, in order of position, as o says,
	// each checked against its checksum. It sees the log as it is when ranging
	// begins: every record up to its bound and none beyond. After an error,
	// which is the last thing yielded, nothing more comes; an end without an
	// error is the true end. Leaving the loop releases everything. A position
	// beyond the head in o is a *[PositionError].
	Read(ctx context.Context, q Query, o ReadOptions) iter.Seq2[Record, error]

	// Wait returns the head as soon as it is greater than after. A store that
	// cannot be woken polls. When ctx ends it returns ctx's error promptly.
	Wait(ctx context.Context, after Position) (Position, error)

	// Info says what log this is and where it stands. It is cheap.
	Info(ctx context.Context) (Info, error)

	// Close waits for appends under way and releases the store. A second
	// Close does nothing.
	Close() error
}

// Batch is what one append appends. Events is never empty.
type Batch struct {
	Events     []Event
	Conditions []Condition
	// Time, if not zero, is taken as the log's time for the whole batch (an
	// import). It must not be earlier than the head's time: *[InvalidError]
	// with the field "time", once the IDs are known to be new.
	Time time.Time
}

// Receipt says where a batch is and how durable.
type Receipt struct {
	First, Last Position  // the positions of its first and last record
	Time        time.Time // the log's time of the batch
	Versions    []uint64  // the version of each record, 0 where it has no stream
	Durability  string    // in the store's words: "memory", "fsync", …
	Repeated    bool      // the log held this batch already; the receipt is the first one
}

// ReadOptions bound a read. The zero value reads everything forwards.
type ReadOptions struct {
	After    Position // only positions strictly greater. Defaults to 0, all
	UpTo     Position // only positions up to and with this one. Defaults to 0, the head when ranging begins
	Backward bool     // from the highest position down. Defaults to false
	Limit    int      // at most this many records. Defaults to 0, no limit
}

// Info says what a log is and where it stands.
type Info struct {
	LogID      ID        // chosen at random when the log was made; kept by backups and copies
	Store      string    // the store's name: "memory", "file", …
	Head       Position  // the last position that can be read, 0 if the log is empty
	Time       time.Time // the time of the record at Head, zero if the log is empty
	Durability string    // what a receipt will say
	ReadOnly   string    // why the log cannot be written, "" if it can
	Limits     Limits
}

// Limits are the most a store takes; see [Validate].
type Limits struct {
	EventBytes  int // one event: payload, names, tags and metadata together
	BatchBytes  int // the events of a batch together, counted likewise
	BatchEvents int // events in a batch
	NameBytes   int // a stream, type, encoding or tag, and a metadata key
}

// DefaultLimits are the limits of a store that has no reason for others.
var DefaultLimits = Limits{EventBytes: 1 << 20, BatchBytes: 16 << 20, BatchEvents: 10_000, NameBytes: 1024}

// Locator is a log that finds positions by time faster than by reading.
type Locator interface {
	// PositionAt returns the last position whose time is at or before t, 0 if there is none.
	PositionAt(ctx context.Context, t time.Time) (Position, error)
}

// Versioner is a log that knows the version of a stream without reading.
type Versioner interface {
	// StreamVersion returns the version of stream's last record, 0 if it has
	// none, as of a head that is no older than any seen before the call.
	StreamVersion(ctx context.Context, stream string) (uint64, error)
}

// Hasher is a log that computes its running hash.
type Hasher interface {
	// TreeHead returns the RFC 6962 tree head over the leaves of the records
	// up to and with p; p = 0 gives the hash of the empty tree.
	TreeHead(ctx context.Context, p Position) ([32]byte, error)
}

// Verifier is a log that can check itself against its own marks.
type Verifier interface {
	// Verify reads everything the store holds and yields each fault found,
	// a *[CorruptError] where it can be placed. progress, if not nil, is told
	// positions done and to do.
	Verify(ctx context.Context, progress func(done, total Position)) iter.Seq[error]
}

// Inliner is a log in a SQL database, whose appends can carry further work in
// their transaction.
type Inliner interface {
	// Inline has hook called for every batch that is appended through this
	// handle, inside the transaction that appends it, with its records as they
	// will be read. tx is that transaction: a *sql.Tx or a pgx.Tx, as the store
	// says. What hook writes by tx is committed with the batch or not at all.
	// If hook fails, its batch is not appended, what hook wrote is undone, and
	// Append returns its error; other batches of the same group are not
	// touched. A repeated batch is not handed to it again. Hooks are called one
	// at a time, in the order of the log, and must not append to the log.
	// Appends of other handles and processes do not call it. remove ends it; it
	// waits for a call under way.
	Inline(hook func(ctx context.Context, tx any, records []Record) error) (remove func())
}

// Stater is a log that keeps a small state beside the log.
type Stater interface {
	// State returns the state, nil where this log is opened read-only.
	State() State
}

// StateReader is a log whose state can be looked at also where the log is
// open read-only.
type StateReader interface {
	// ReadState returns the state, whose Save and Delete are refused with
	// [ErrReadOnly].
	ReadState() State
}

// StateOf returns what there is of log's state: the state itself, else one
// that can only be looked at, else nil.
func StateOf(log Log) State {
	if s, ok := log.(Stater); ok {
		if state := s.State(); state != nil {
			return state
		}
	}
	if s, ok := log.(StateReader); ok {
		return s.ReadState()
	}
	return nil
}

// Exclusive is a log that one process at a time has open for writing, with its
// state. So whoever wrote into the state from another process is gone.
type Exclusive interface {
	// Exclusive reports whether the log is one.
	Exclusive() bool
}

// State is a small set of compare-and-swap keys beside a log: checkpoints,
// leases, snapshots, registrations. It is never part of the log and never
// hashed. Keys are UTF-8 without a NUL of up to 1,024 bytes; values are up to
// 64 MiB; see [ValidateState].
type State interface {
	// Load returns the value under key and its revision; ErrNotFound if there is none.
	Load(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Save stores value if key's revision is expect (0: there is none;
	// [AnyRevision]: whatever it is) and returns the new one, else
	// ErrRevision. It is durable when it returns.
	Save(ctx context.Context, key string, value []byte, expect uint64) (revision uint64, err error)
	// Delete removes key if its revision is expect, likewise.
	Delete(ctx context.Context, key string, expect uint64) error
	// Keys yields the keys that begin with prefix, in order.
	Keys(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// AnyRevision lets Save and Delete of a [State] ignore the revision.
const AnyRevision = ^uint64(0)
