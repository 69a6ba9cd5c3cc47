package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-db/annals/driver"
)

// durability is what a receipt says: the journal is a write-ahead log which is
// synced at each commit, as Open has checked.
const durability = "fsync"

// Store is a log in an SQLite file. It fulfils [driver.Log],
// [driver.Submitter], [driver.Locator], [driver.Versioner], [driver.Hasher],
// [driver.Verifier], [driver.Stater], [driver.StateReader] and [driver.Inliner].
type Store struct {
	path   string // as it was given, for what is said
	file   string // likewise, from the root: the working directory may change
	opts   Options
	id     driver.ID
	db     *sql.DB // the application's
	pool   pool
	names  resolver
	writer *writer // nil if read-only
	hooks  hooks
	tree   tree
	done   chan struct{} // closed by Close
	closed atomic.Bool

	mu       sync.Mutex
	known    driver.Position // the head as far as this handle knows
	grown    chan struct{}   // closed and replaced when known grows
	polled   time.Time       // when the file was last looked at for waiters
	broken   error           // why nothing can be appended until the file is opened again
	cut      error           // what is wrong with the end of the log, as Open found it
	closeErr error
	closing  sync.Once
}

var (
	_ driver.Log         = (*Store)(nil)
	_ driver.Submitter   = (*Store)(nil)
	_ driver.Locator     = (*Store)(nil)
	_ driver.Versioner   = (*Store)(nil)
	_ driver.Hasher      = (*Store)(nil)
	_ driver.Verifier    = (*Store)(nil)
	_ driver.Stater      = (*Store)(nil)
	_ driver.StateReader = (*Store)(nil)
	_ driver.Inliner     = (*Store)(nil)
)

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

// DB returns a handle to the same file for the application's own tables. Its
// transactions begin with BEGIN IMMEDIATE, as long as they are not read-only;
// appends wait while one is open, up to [Options].BusyTimeout. Tables whose
// names begin with annals_ are the log's. Close of the store closes it.
func (s *Store) DB() *sql.DB { return s.db }

// Info says what log this is and where it stands.
func (s *Store) Info(ctx context.Context) (driver.Info, error) {
	info := driver.Info{LogID: s.id, Store: "sqlite", Durability: durability, Limits: s.opts.Limits}
	err := s.use(ctx, func(c *conn) error {
		head, at, err := c.headOf()
		info.Head = head
		if head > 0 {
			info.Time = instant(at)
		}
		return err
	})
	if err != nil {
		return driver.Info{}, s.found("look at", err)
	}
	s.publish(info.Head)
	if err := s.writable(); err != nil {
		info.ReadOnly = err.Error()
	}
	return info, ctx.Err()
}

// errReadOnly is why a store that was opened so cannot be written.
var errReadOnly = errors.New("it was opened read-only")

// writable returns why the log cannot be written, nil if it can.
func (s *Store) writable() error {
	if s.opts.ReadOnly {
		return errReadOnly
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// refusal returns the error of an append while the log cannot be written.
func (s *Store) refusal() error {
	if err := s.writable(); err != nil {
		return fmt.Errorf("append to %s: %w: %w", s.path, driver.ErrReadOnly, err)
	}
	return nil
}

// breakWith refuses appends from now on, because of err.
func (s *Store) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
		s.opts.Logger.Error("the log takes no more appends until it is opened again", "file", s.path, "error", err)
	}
}

// noteCorruption has the store refuse appends if err says that the file is
// damaged, and returns err.
func (s *Store) noteCorruption(err error) error {
	var c *driver.CorruptError
	if errors.As(err, &c) {
		s.breakWith(c)
	}
	return err
}

// publish notes that the log has reached head and wakes who waits for that.
func (s *Store) publish(head driver.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if head > s.known {
		s.known = head
		close(s.grown)
		s.grown = make(chan struct{})
	}
}

// Wait returns the head as soon as it is greater than after. It is woken by
// appends through this handle, and looks at the file for those of others.
func (s *Store) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	pause := s.opts.PollInterval
	for {
		s.mu.Lock()
		head, grown := s.known, s.grown
		due := time.Since(s.polled) >= pause
		if due {
			s.polled = time.Now()
		}
		s.mu.Unlock()
		if s.closed.Load() {
			return 0, driver.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if head > after {
			return head, nil
		}
		if due {
			if _, err := s.Info(ctx); err != nil {
				return 0, err
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-grown:
		case <-timer.C:
		case <-s.done:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(pause*5/4, max(maxPollInterval, s.opts.PollInterval))
	}
}

// StreamVersion returns the version of stream's last record, 0 if it has none.
func (s *Store) StreamVersion(ctx context.Context, stream string) (v uint64, err error) {
	err = s.use(ctx, func(c *conn) error {
		return c.within(func() error {
			p, _, err := c.checked(streamKind, stream)
			v = p.count
			return corruption(1, err)
		})
	})
	if err != nil {
		return 0, s.found("look at", err)
	}
	return v, ctx.Err()
}

// PositionAt returns the last position whose time is at or before t, 0 if there is none.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (p driver.Position, err error) {
	err = s.use(ctx, func(c *conn) error {
		p, err = c.positionAt(t)
		return err
	})
	if err != nil {
		return 0, s.found("look at", err)
	}
	return p, ctx.Err()
}

// positionAt bisects, as time never runs backwards along positions.
func (c *conn) positionAt(t time.Time) (driver.Position, error) {
	head, _, err := c.headOf()
	if err != nil {
		return 0, err
	}
	lo, hi := driver.Position(0), head // the answer is in [lo, hi]
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		found, at := false, int64(0)
		err := each(c.timeAt, func() bool {
			found, at = true, c.timeAt.ColumnInt64(0)
			return false
		}, mid)
		switch {
		case err != nil:
			return 0, corruption(mid, err)
		case !found:
			return 0, corruption(mid, &damage{"it is missing"})
		case instant(at).After(t):
			hi = mid - 1
		default:
			lo = mid
		}
	}
	return lo, nil
}

// Close waits for appends under way and closes the file. A second Close does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		if s.writer != nil {
			s.writer.stop()
		}
		s.closed.Store(true)
		close(s.done)
		var err error
		if s.writer != nil {
			err = s.writer.close()
		}
		s.closeErr = errors.Join(err, s.pool.drain(), s.db.Close())
	})
	return s.closeErr
}
