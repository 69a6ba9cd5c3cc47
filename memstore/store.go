// Package memstore is the smallest complete store: a log in memory, for tests
// and for programs that need no more. It is also the oracle that the other
// stores are compared with, so it is written to be plainly right before fast.
//
// Start with [New]. Nothing survives the process.
package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// Options are what [New] may be told.
type Options struct {
	// Clock tells the time of an append. What it says is clamped so that the
	// log's time never runs backwards. Defaults to time.Now.
	Clock func() time.Time
	// Limits are the most the store takes. Defaults to driver.DefaultLimits.
	Limits driver.Limits
	// LogID is the log's ID, for a copy of another log. Defaults to a random one.
	LogID driver.ID
}

// Store is a log in memory. It fulfils [driver.Log], [driver.Submitter],
// [driver.Locator], [driver.Versioner], [driver.Hasher] and [driver.Stater].
type Store struct {
	clock  func() time.Time
	limits driver.Limits
	id     driver.ID
	state  *state
	done   chan struct{} // closed by Close

	mu      sync.RWMutex
	records []driver.Record // the record at position p is records[p-1]; never changed once there
	index   index
	grown   chan struct{} // closed and replaced when records grows
	closed  bool

	tree tree
}

var (
	_ driver.Log       = (*Store)(nil)
	_ driver.Submitter = (*Store)(nil)
	_ driver.Locator   = (*Store)(nil)
	_ driver.Versioner = (*Store)(nil)
	_ driver.Hasher    = (*Store)(nil)
	_ driver.Stater    = (*Store)(nil)
	_ driver.Exclusive = (*Store)(nil)
)

// New returns an empty log.
func New(opts *Options) *Store {
	if opts == nil {
		opts = &Options{}
	}
	s := &Store{
		clock:  opts.Clock,
		limits: opts.Limits,
		id:     opts.LogID,
		index:  newIndex(),
		grown:  make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.state = &state{closed: s.done, entries: map[string]entry{}}
	if s.id == (driver.ID{}) {
		s.id = uuid.New()
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.limits == (driver.Limits{}) {
		s.limits = driver.DefaultLimits
	}
	return s
}

// Info says what log this is and where it stands.
func (s *Store) Info(ctx context.Context) (driver.Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return driver.Info{}, driver.ErrClosed
	}
	return driver.Info{
		LogID:      s.id,
		Store:      "memory",
		Head:       s.head(),
		Time:       s.headTime(),
		Durability: durability,
		Limits:     s.limits,
	}, ctx.Err()
}

// Exclusive reports that no other process can have the log open for writing.
func (s *Store) Exclusive() bool { return true }

// Close releases the store and ends every Wait. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	return nil
}

// Wait returns the head as soon as it is greater than after.
func (s *Store) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	for {
		s.mu.RLock()
		head, grown, closed := s.head(), s.grown, s.closed
		s.mu.RUnlock()
		if closed {
			return 0, driver.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if head > after {
			return head, nil
		}
		select {
		case <-grown:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// head is the last position. The caller holds mu.
func (s *Store) head() driver.Position { return driver.Position(len(s.records)) }

// headTime is the time of the last record, zero if there is none. The caller holds mu.
func (s *Store) headTime() time.Time {
	if len(s.records) == 0 {
		return time.Time{}
	}
	return s.records[len(s.records)-1].Time
}
