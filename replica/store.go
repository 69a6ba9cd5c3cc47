package replica

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/quorum"
)

// Store is a node of a log that a NATS cluster holds. It fulfils [driver.Log],
// [driver.Submitter], [driver.Locator], [driver.Versioner], [driver.Hasher],
// [driver.Verifier] and [driver.Stater].
type Store struct {
	opts     Options
	id       nodeID
	logID    driver.ID
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   atomic.Pointer[jetstream.Stream]
	created  time.Time // of the stream
	verified bool      // the servers say that they sync every write
	log      *filestore.Store
	order    *quorum.Order
	lease    *lease
	lane     *lane
	intake   *intake
	state    *state

	tail     tail
	previous tail          // before the last group that this node published
	since    time.Time     // when the stream was first said to end before the tail; zero if it is not
	sequence atomic.Uint64 // tail.seq, for Status

	serving   sync.RWMutex // held for reading while appends are handed to log in an epoch
	leadEpoch uint64       // the epoch that this node leads, 0 if it does not
	deposed   chan struct{}

	mu         sync.Mutex
	role       role
	changed    chan struct{} // closed when role changes
	fault      error         // why this node stopped
	stuck      error         // why its copy does not go on for now
	foreign    uint64        // messages passed over
	foreignSeq uint64        // of the last

	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	wg          sync.WaitGroup
	closed      atomic.Bool
	connections atomic.Uint64 // how often the connection was made again
	direct      sync.RWMutex  // held for reading by appends by way of this node's own copy
}

var (
	_ driver.Log       = (*Store)(nil)
	_ driver.Submitter = (*Store)(nil)
	_ driver.Locator   = (*Store)(nil)
	_ driver.Versioner = (*Store)(nil)
	_ driver.Hasher    = (*Store)(nil)
	_ driver.Verifier  = (*Store)(nil)
	_ driver.Stater    = (*Store)(nil)
)

// nodeID is chosen at random each time a node is opened.
type nodeID [16]byte

func newNodeID() (id nodeID) {
	rand.Read(id[:])
	return id
}

func (id nodeID) String() string { return hex.EncodeToString(id[:]) }

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}

// role says who sequences.
type role struct {
	node  nodeID
	name  string
	epoch uint64 // 0 if it is not known
}

// setRole notes who sequences, unless a later one is known.
func (s *Store) setRole(r role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.epoch <= s.role.epoch {
		return
	}
	s.role = r
	close(s.changed)
	s.changed = make(chan struct{})
}

// currentRole returns who sequences and a channel that is closed when that changes.
func (s *Store) currentRole() (role, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role, s.changed
}

// stop makes this node take nothing any more. The first reason stays.
func (s *Store) stop(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return
	}
	s.fault = reason
	close(s.changed)
	s.changed = make(chan struct{})
	s.opts.Logger.Error("this node of the log has stopped", "node", s.opts.Node, "error", reason)
}

// stopped returns why this node has stopped, nil if it has not.
func (s *Store) stopped() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// differs returns the fault where this node's copy is not as the cluster's log
// is, so that nothing may be served from it.
func (s *Store) differs() error {
	var damage *driver.CorruptError
	if err := s.stopped(); errors.As(err, &damage) {
		return err
	}
	return nil
}

// durability is what receipts say.
func (s *Store) durability() string {
	if !s.verified {
		return "ordered by quorum (unverified), applied on 1"
	}
	return "ordered by quorum, applied on 1"
}

// Info says what log this is and where this node stands. Head is that of this
// node's copy, which may be behind the cluster's.
func (s *Store) Info(ctx context.Context) (driver.Info, error) {
	if s.closed.Load() {
		return driver.Info{}, driver.ErrClosed
	}
	info, err := s.log.Info(ctx)
	if err != nil {
		return info, err
	}
	info.Store, info.Durability = "replica", s.durability()
	if err := s.stopped(); err != nil {
		info.ReadOnly = err.Error()
	}
	return info, nil
}

// Read reads from this node's copy.
func (s *Store) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	if err := s.differs(); err != nil {
		return func(yield func(driver.Record, error) bool) { yield(driver.Record{}, err) }
	}
	return s.log.Read(ctx, q, o)
}

// Wait returns the head of this node's copy as soon as it is greater than after.
func (s *Store) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if err := s.differs(); err != nil {
		return 0, err
	}
	return s.log.Wait(ctx, after)
}

// PositionAt returns the last position of this node's copy whose time is at or before t.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (driver.Position, error) {
	if err := s.differs(); err != nil {
		return 0, err
	}
	return s.log.PositionAt(ctx, t)
}

// StreamVersion returns the version of stream's last record in this node's copy.
func (s *Store) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	if err := s.differs(); err != nil {
		return 0, err
	}
	return s.log.StreamVersion(ctx, stream)
}

// TreeHead returns the tree head over the records up to and with p.
func (s *Store) TreeHead(ctx context.Context, p driver.Position) ([32]byte, error) {
	if err := s.differs(); err != nil {
		return [32]byte{}, err
	}
	return s.log.TreeHead(ctx, p)
}

// Verify checks this node's copy against its own marks and hashes.
func (s *Store) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	return s.log.Verify(ctx, progress)
}

// State returns the state, which all nodes share: it is kept in the cluster.
func (s *Store) State() driver.State {
	if s.state == nil {
		return nil
	}
	return s.state
}

// Close waits for appends under way, gives up sequencing so that another node
// takes over at once, and releases the store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.direct.Lock()   // appends by way of this node's own copy have ended
	s.direct.Unlock() //nolint:staticcheck // new ones see that the store is closed
	s.lane.close()
	s.cancel()
	s.wg.Wait()
	s.intake.wg.Wait()
	return s.release()
}

// release closes what is open.
func (s *Store) release() error {
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	return err
}

// Status is how a node is doing, for monitoring.
type Status struct {
	Node      string          // this node's name
	Sequencer string          // the name of the node that sequences, "" if it is not known
	Epoch     uint64          // its epoch
	Leading   bool            // it is this node
	Head      driver.Position // of this node's copy
	Sequence  uint64          // of the stream, up to which this node has taken it in
	Behind    uint64          // messages of the stream still to be taken in
	Foreign   uint64          // messages passed over, since opening, that are not of the log
	Verified  bool            // the servers say that they sync every write
	Fault     error           // why this node has stopped, nil if it has not
	Stuck     error           // why it does not go on for now (a full disk), nil if it does
}

// Status asks the cluster where its stream ends and says how this node is doing.
func (s *Store) Status(ctx context.Context) (Status, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	st := Status{Node: s.opts.Node, Sequencer: s.role.name, Epoch: s.role.epoch, Head: info.Head,
		Foreign: s.foreign, Verified: s.verified, Fault: s.fault, Stuck: s.stuck}
	st.Leading = s.role.node == s.id && s.order.Leading.Load()
	s.mu.Unlock()
	st.Sequence = s.sequence.Load()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	stream, err := (*s.stream.Load()).Info(ctx)
	if err != nil {
		return st, s.clusterError("the stream's state", err)
	}
	if last := stream.State.LastSeq; last > st.Sequence {
		st.Behind = last - st.Sequence
	}
	return st, nil
}

// String returns what st says, in one line.
func (st Status) String() string {
	out := fmt.Sprintf("%s: position %d, sequence %d, %d behind, sequencer %s in epoch %d", st.Node, st.Head, st.Sequence, st.Behind, st.Sequencer, st.Epoch)
	for _, err := range []error{st.Fault, st.Stuck} {
		if err != nil {
			out += ": " + err.Error()
		}
	}
	return out
}

// parseNodeID parses what String returns.
func parseNodeID(text string) (id nodeID, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, errDecode
	}
	copy(id[:], b)
	return id, nil
}
