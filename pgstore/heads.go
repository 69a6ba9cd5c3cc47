package pgstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// heads is where the log is known to stand, and who waits for more.
type heads struct {
	mu       sync.Mutex
	head     driver.Position
	moved    chan struct{} // closed and replaced when head rises
	waiters  int
	watching bool          // whether the watcher was started
	wanted   chan struct{} // tells the watcher that somebody waits

	notifying bool
	told      driver.Position // others were
	appended  chan struct{}   // tells the notifier that this process has appended
}

func (h *heads) init() {
	h.moved = make(chan struct{})
	h.wanted = make(chan struct{}, 1)
	h.appended = make(chan struct{}, 1)
}

// seen notes that p can be read.
func (h *heads) seen(p driver.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p > h.head {
		h.head = p
		close(h.moved)
		h.moved = make(chan struct{})
	}
}

func (h *heads) now() (driver.Position, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head, h.moved
}

// Wait returns the head as soon as it is greater than after.
func (s *Store) Wait(ctx context.Context, after driver.Position) (driver.Position, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	head, _ := s.heads.now()
	if head > after {
		return head, nil
	}
	s.watch()
	defer s.unwatch()
	if err := s.look(ctx); err != nil { // others may have appended before the watcher began
		return 0, err
	}
	for {
		head, moved := s.heads.now()
		if head > after {
			return head, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.closing.Done():
			return 0, driver.ErrClosed
		}
	}
}

// look asks the server where the log stands.
func (s *Store) look(ctx context.Context) error {
	return s.query(ctx, "wait", s.sql.head, nil, func(rows pgx.Rows) error {
		var head uint64Of
		err := rows.Scan(&head)
		s.heads.seen(driver.Position(head))
		return err
	})
}

// watch counts a waiter, and starts the watcher with the first.
func (s *Store) watch() {
	h := &s.heads
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiters++
	if !h.watching && s.closing.Err() == nil {
		h.watching = true
		s.done.Go(s.listen)
	}
	select {
	case h.wanted <- struct{}{}:
	default:
	}
}

func (s *Store) unwatch() {
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	s.heads.waiters--
}

func (h *heads) awaited() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiters > 0
}

// The pauses of the watcher.
const (
	safetyPoll  = time.Second // while it listens: whoever appended may have died before telling
	minRedial   = 50 * time.Millisecond
	maxRedial   = 2 * time.Second
	notifyPause = 5 * time.Millisecond // at least between two notifications of one process
)

// listen watches the head until the store is closed: by LISTEN where the server
// can wake this process, else by looking every so often while somebody waits.
func (s *Store) listen() {
	redial := minRedial
	for s.closing.Err() == nil {
		if s.pooled || s.standby {
			s.poll(0)
			continue
		}
		err := s.listenOnce(func() { redial = minRedial })
		if s.closing.Err() != nil {
			return
		}
		s.opts.Logger.Warn("the connection that listens to a log ended; polling until there is another", "schema", s.opts.Schema, "error", err)
		s.poll(redial)
		redial = min(2*redial, maxRedial)
	}
}

// listenOnce listens on a connection of its own until it breaks.
func (s *Store) listenOnce(listening func()) error {
	conn, err := pgx.ConnectConfig(s.closing, s.pool.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(s.closing)) //nolint:errcheck // nothing was written by it
	if _, err := conn.Exec(s.closing, "LISTEN "+pgx.Identifier{s.opts.Schema}.Sanitize(), pgx.QueryExecModeExec); err != nil {
		return err
	}
	listening()
	for look := true; ; {
		if look && s.heads.awaited() {
			if err := s.look(s.closing); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(s.closing, safetyPoll)
		n, err := conn.WaitForNotification(ctx)
		expired := ctx.Err() != nil
		cancel()
		look = expired
		switch {
		case s.closing.Err() != nil:
			return nil
		case err != nil && (!expired || conn.IsClosed()):
			return err
		case err == nil:
			var p uint64
			_, err := fmt.Sscan(n.Payload, &p)
			head, _ := s.heads.now()
			look = err == nil && driver.Position(p) > head // anybody may notify
		}
	}
}

// poll looks while somebody waits, for a time, or for good if it is 0.
func (s *Store) poll(d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	tick := time.NewTicker(s.opts.PollInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.closing.Done():
			return
		case <-over:
			return
		case <-tick.C:
		}
		if s.heads.awaited() {
			_ = s.look(s.closing) // the next look may succeed
			continue
		}
		select { // at rest until somebody waits
		case <-s.closing.Done():
			return
		case <-over:
			return
		case <-s.heads.wanted:
		}
	}
}

// grown notes that this process has appended up to p, and has others told.
func (h *heads) grown(s *Store, p driver.Position) {
	if p == 0 {
		return
	}
	h.seen(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.notifying {
		h.notifying = true
		s.done.Go(s.notify)
	}
	select {
	case h.appended <- struct{}{}:
	default:
	}
}

// notify tells other processes where the log stands, one notification at a
// time, outside the appends: a NOTIFY within them would make every commit of
// the database wait for the one before. One that fails is not missed for long.
func (s *Store) notify() {
	for {
		select {
		case <-s.closing.Done():
			return
		case <-s.heads.appended:
		}
		s.tell(s.closing)
		pause(s.closing, notifyPause)
	}
}

// tell notifies, if others were not told yet.
func (s *Store) tell(ctx context.Context) {
	h := &s.heads
	h.mu.Lock()
	head, told := h.head, h.told
	h.mu.Unlock()
	if head <= told {
		return
	}
	if _, err := s.pool.Exec(ctx, s.sql.notify, s.mode, s.opts.Schema, fmt.Sprint(uint64(head))); err == nil {
		h.mu.Lock()
		h.told = head
		h.mu.Unlock()
	}
}

// stop ends what watches and tells; what was appended last is told first.
func (s *Store) stop() {
	h := &s.heads
	h.mu.Lock()
	notifying := h.notifying
	h.mu.Unlock()
	if notifying {
		ctx, cancel := context.WithTimeout(s.closing, time.Second)
		s.tell(ctx)
		cancel()
	}
	h.mu.Lock()
	s.close() // under the lock, so that no watcher is started behind it
	h.mu.Unlock()
	s.done.Wait()
}
