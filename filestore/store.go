package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
)

// Store is a log in a directory. It fulfils [driver.Log], [driver.Submitter],
// [driver.Locator], [driver.Versioner], [driver.Hasher], [driver.Verifier] and [driver.Stater].
type Store struct {
	opts  Options
	dir   string
	logID driver.ID
	seed  uint32 // CRC32C of logID

	view       atomic.Pointer[view]
	publishing slowLock // held while a group gets into the index, heads and view
	heads      *heads
	blocks     *blockCache
	hot        *hotStreams
	indexes    *index.Cache
	grown      broadcast
	state      *stateDir // nil where the store is open read-only
	mark       *markFile
	lock       io.Closer // nil where the store is open read-only
	hashes     hashCache
	requests   sync.Pool // of *request

	writer   *writer   // nil where nothing can be appended
	follower *follower // nil unless the store is open read-only
	recovery Recovery
	peeks    sync.Pool   // of *peeked
	queried  atomic.Bool // a condition with a query was seen, so events are signed

	mu       sync.Mutex
	readOnly error       // why nothing can be appended, nil if it can
	refusing atomic.Bool // readOnly is set
	closed   atomic.Bool
	done     chan struct{} // closed by Close
}

var (
	_ driver.Log       = (*Store)(nil)
	_ driver.Submitter = (*Store)(nil)
	_ driver.Locator   = (*Store)(nil)
	_ driver.Versioner = (*Store)(nil)
	_ driver.Hasher    = (*Store)(nil)
	_ driver.Verifier  = (*Store)(nil)
	_ driver.Exclusive = (*Store)(nil)
	_ driver.Stater    = (*Store)(nil)
	_ driver.Importer  = (*Store)(nil)

	_ driver.StateReader = (*Store)(nil)
)

// view is what can be read at one moment. It is never changed, only replaced.
type view struct {
	segments []*segment      // in order; the last one is active
	head     driver.Position // the last position that can be read
	time     int64           // its time, Unix nanoseconds; 0 if the log is empty
	end      int64           // bytes of the last segment that can be read
	group    uint64          // the number of the last group
	newest   driver.ID       // the greatest time-ordered ID in the log
	damage   error           // a *driver.CorruptError at head+1 that ends the log here, nil if it is whole
}

// active returns the last segment, nil if there is none.
func (v *view) active() *segment {
	if len(v.segments) == 0 {
		return nil
	}
	return v.segments[len(v.segments)-1]
}

// endOf returns the readable bytes of segment i.
func (v *view) endOf(i int) int64 {
	if i == len(v.segments)-1 {
		return v.end
	}
	return v.segments[i].end
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

// Recovery returns what opening the store found and did.
func (s *Store) Recovery() Recovery { return s.recovery }

// Info says what log this is and where it stands.
func (s *Store) Info(ctx context.Context) (driver.Info, error) {
	v, err := s.current(ctx)
	if err != nil {
		return driver.Info{}, err
	}
	info := driver.Info{
		LogID:      s.logID,
		Store:      "file",
		Head:       v.head,
		Durability: durability,
		Limits:     s.opts.Limits,
	}
	if v.head > 0 {
		info.Time = unixNano(v.time)
	}
	if err := s.writable(); err != nil {
		info.ReadOnly = err.Error()
	}
	return info, nil
}

// durability is what receipts say: the data was synced to the disk.
const durability = "fsync"

// current returns the newest view, an error if the store is closed or ctx has ended.
func (s *Store) current(ctx context.Context) (*view, error) {
	if s.closed.Load() {
		return nil, driver.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.follower != nil {
		if err := s.follower.refresh(); err != nil {
			return nil, s.ioError(err)
		}
	}
	return s.view.Load(), nil
}

// writable returns why nothing can be appended, nil if it can.
func (s *Store) writable() error {
	if !s.refusing.Load() {
		return nil // without the lock, which every append would have to take
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readOnly
}

// setReadOnly makes the store refuse appends from now on. The first reason stays.
func (s *Store) setReadOnly(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readOnly == nil {
		s.readOnly = reason
		s.refusing.Store(true)
	}
}

// ioError returns err, or ErrClosed if it comes of the store being closed meanwhile.
func (s *Store) ioError(err error) error {
	if err != nil && s.closed.Load() && errors.Is(err, fs.ErrClosed) {
		return driver.ErrClosed
	}
	return err
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// Exclusive reports that no other process can have the log open for writing.
func (s *Store) Exclusive() bool { return true }

// Wait returns the head as soon as it is greater than after.
func (s *Store) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if s.follower != nil {
		s.follower.attend()
		defer s.follower.leave()
	}
	for {
		grown := s.grown.listen()
		v, err := s.current(ctx)
		if err != nil {
			return 0, err
		}
		if v.head > after {
			return v.head, nil
		}
		select {
		case <-grown:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// broadcast wakes everyone who listens. It costs nothing while no one does.
type broadcast struct {
	mu        sync.Mutex
	ch        chan struct{}
	listening atomic.Bool
}

// listen returns a channel that the next notify closes.
func (b *broadcast) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
		b.listening.Store(true)
	}
	return b.ch
}

func (b *broadcast) notify() {
	if !b.listening.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
		b.listening.Store(false)
	}
}
