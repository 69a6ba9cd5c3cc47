package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/annals-db/annals/driver"
)

// follower keeps the view of a store that is open read-only abreast of what a
// writer in another process makes durable, by way of the durable mark.
type follower struct {
	s *Store

	mu     sync.Mutex // held while the view is brought up to date
	last   uint64     // sequence number of the mark that the view is at
	tried  time.Time  // when index files were last looked for
	closed bool

	waiting sync.Mutex // guards waiters and polling
	waiters int
	polling bool
	ended   sync.WaitGroup
}

// openReader opens the store beside its writer, if any.
func (s *Store) openReader() error {
	id, err := s.identity()
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := s.opts.FS.ReadDir(s.dir); err == nil && len(entries) > 0 {
			return fmt.Errorf("%w: the file %s is missing", ErrNotStore, identityName)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return missingError{}
	}
	if err != nil {
		return err
	}
	s.setID(id)
	if err := s.openMark(os.O_RDONLY); err != nil {
		return err
	}
	m, _, err := s.mark.read()
	if errors.Is(err, errNoMark) {
		return fmt.Errorf("%w; opening the store for appending makes it again", err)
	} else if err != nil {
		return err
	}
	l := &loader{s: s, mark: m, bounded: true, flag: os.O_RDONLY, v: &view{}}
	if err := l.load(); err != nil {
		l.close()
		return err
	}
	_ = closeAll(l.unused)
	s.recovery.Rescanned = l.rescanned
	s.view.Store(l.v)
	s.heads = newHeads(l.v.head)
	s.setReadOnly(errors.New("it was opened read-only"))
	s.follower = &follower{s: s, last: m.sequence}
	return nil
}

// refresh brings the view up to the durable mark.
func (f *follower) refresh() error {
	m, _, err := f.s.mark.read()
	if errors.Is(err, errNoMark) {
		return nil // both slots were caught half written; next time will do
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.s.view.Load()
	if m.sequence <= f.last || v.damage != nil || f.closed {
		return nil
	}
	l := &loader{s: f.s, mark: m, bounded: true, flag: os.O_RDONLY}
	next := *v
	next.segments = slices.Clone(v.segments)
	l.v = &next
	if err := l.advance(); err != nil {
		return err
	}
	f.last = m.sequence
	f.adopt(l.v)
	f.s.view.Store(l.v)
	f.s.grown.notify()
	return nil
}

// advance reads what lies between the end of the view and the mark.
func (l *loader) advance() error {
	if l.mark.segment == 0 {
		return nil // the log is still empty
	}
	for l.v.damage == nil {
		g := l.v.active()
		if g != nil {
			end := l.mark.offset
			if g.number != l.mark.segment {
				size, err := g.file.Size()
				if err != nil {
					return err
				}
				end = size
			}
			sc, stop, err := l.scanOn(g, end)
			if err != nil {
				return err
			}
			if g.number == l.mark.segment {
				if l.v.head < l.mark.position {
					l.damage(g, sc.next, sc.at(), stop.Error())
				}
				return nil
			}
			g.end = l.v.end
		}
		next, err := l.open(uint64(len(l.v.segments) + 1))
		if err != nil {
			return err
		}
		if next.header.first == 0 || next.header.first != l.v.head+1 {
			l.damage(next, l.v.head+1, 0, "the log does not go on here")
			return next.file.Close()
		}
		l.begin(next)
	}
	return nil
}

// adopt changes over to the index files that the writer has made meanwhile.
func (f *follower) adopt(v *view) {
	if time.Since(f.tried) < 100*time.Millisecond {
		return
	}
	f.tried = time.Now()
	for _, g := range v.segments[:max(len(v.segments)-1, 0)] {
		if g.index.Load().mem == nil {
			continue
		}
		if x, _, err := f.s.openIndex(g); err == nil {
			g.index.Store(x)
		}
	}
}

// attend makes sure that the mark is polled until leave.
func (f *follower) attend() {
	f.waiting.Lock()
	defer f.waiting.Unlock()
	f.waiters++
	if !f.polling && !f.s.closed.Load() {
		f.polling = true
		f.ended.Add(1)
		go f.poll()
	}
}

func (f *follower) leave() {
	f.waiting.Lock()
	defer f.waiting.Unlock()
	f.waiters--
}

// poll looks at the mark while someone waits, less often while nothing comes.
func (f *follower) poll() {
	defer f.ended.Done()
	shortest := f.s.opts.PollInterval
	interval := shortest
	var head driver.Position
	for {
		select {
		case <-time.After(interval):
		case <-f.s.done:
			return
		}
		f.waiting.Lock()
		if f.waiters == 0 {
			f.polling = false
			f.waiting.Unlock()
			return
		}
		f.waiting.Unlock()
		if err := f.refresh(); err != nil {
			f.s.grown.notify() // those who wait look for themselves and see the error
		}
		interval = min(interval+interval/4+1, 10*shortest)
		if v := f.s.view.Load(); v.head != head {
			head, interval = v.head, shortest
		}
	}
}

// close waits for the polling to end; the store's done is closed.
func (f *follower) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.ended.Wait()
}
