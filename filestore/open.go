package filestore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/vfs"
)

// The names in a store's directory.
const (
	identityName    = "ANNALS"
	lockName        = "lock"
	pidName         = "pid"
	markName        = "mark"
	logDir          = "log"
	stateDirName    = "state"
	asideDir        = "aside"
	temporarySuffix = ".tmp"
)

// Open opens the store in dir, and makes a new one where there is nothing or
// an empty directory. With nil options it opens for appending, which one
// process at a time may: any other gets a *[driver.LockedError].
//
// A directory that holds something else is [ErrNotStore], a store of a newer
// format a *[FormatError]. A store that is damaged opens all the same, to be
// read up to the damage; its Info says why nothing can be appended.
func Open(dir string, opts *Options) (*Store, error) {
	s := &Store{opts: opts.withDefaults(), dir: slashed(dir), done: make(chan struct{}), publishing: newSlowLock()}
	s.blocks = newBlockCache(s.opts.CacheBytes / 7)
	s.hot = newHotStreams(s.opts.CacheBytes / 7)
	s.indexes = index.NewCache(s.opts.CacheBytes / 7 * 5)
	open := s.openWriter
	if s.opts.ReadOnly {
		open = s.openReader
	}
	if err := open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, errors.Join(err, s.release()))
	}
	return s, nil
}

// openWriter opens the store for appending.
func (s *Store) openWriter() error {
	if err := s.lockDir(); err != nil {
		return err
	}
	id, err := s.identity()
	if errors.Is(err, fs.ErrNotExist) {
		id = s.opts.LogID
		err = s.create(id)
	}
	if err != nil {
		return err
	}
	s.setID(id)
	if err := s.ensureDirs(); err != nil {
		return err
	}
	if err := s.openMark(os.O_RDWR); err != nil {
		return err
	}
	v, err := s.recover()
	if err != nil {
		return err
	}
	s.view.Store(v)
	s.heads = newHeads(v.head)
	if s.state, err = s.openState(); err != nil {
		return err
	}
	return s.startWriter(v)
}

// startWriter starts the goroutines behind Append.
func (s *Store) startWriter(v *view) error {
	if v.damage != nil {
		s.setReadOnly(v.damage)
		s.opts.Logger.Error("the store is damaged and can only be read", "error", v.damage)
	}
	w := &writer{
		s:      s,
		epoch:  newEpoch(),
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		seg:    v.active(),
		off:    v.end,
		group:  v.group,
		head:   v.head,
		time:   v.time,
		window: newWindow(v.head),
		newest: v.newest,
		added:  map[string]*head{},
		waker:  newWaker(),
		ahead:  newPreparer(s),
		sealer: newSealer(s),

		toIndex: make(chan []index.Entry),
		indexed: make(chan struct{}),
	}
	go w.indexer()
	w.room = sync.NewCond(&w.mu)
	if w.seg != nil {
		w.base = w.seg.header.baseTime
		for _, g := range v.segments[:len(v.segments)-1] {
			if g.index.Load().mem != nil && v.damage == nil {
				w.sealer.seal(g)
			}
		}
	}
	s.writer = w
	go w.run()
	return nil
}

// lockDir makes the directory if there is none, and locks it.
func (s *Store) lockDir() error {
	fsys := s.opts.FS
	if _, err := fsys.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		if s.opts.MustExist {
			return missingError{}
		}
		if err := fsys.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := fsys.Stat(s.dir + "/" + identityName); errors.Is(err, fs.ErrNotExist) {
		if err := s.mayCreate(); err != nil {
			return err
		}
	}
	lock, err := fsys.Lock(s.dir + "/" + lockName)
	if errors.Is(err, vfs.ErrLocked) {
		return &driver.LockedError{Store: s.dir, PID: s.owner()}
	}
	if err != nil {
		return err
	}
	s.lock = lock
	return s.writeFile(s.dir+"/"+pidName, []byte(strconv.Itoa(os.Getpid())+"\n"))
}

// mayCreate returns an error unless a store may be made in the directory, which has none.
func (s *Store) mayCreate() error {
	if s.opts.MustExist {
		return missingError{}
	}
	entries, err := s.opts.FS.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch strings.TrimSuffix(e.Name(), temporarySuffix) {
		case lockName, pidName, identityName, markName, stateDirName:
		case logDir:
			if files, err := s.opts.FS.ReadDir(s.dir + "/" + logDir); err != nil {
				return err
			} else if len(files) > 0 {
				return fmt.Errorf("%w: the file %s is missing, but there is a log", ErrNotStore, identityName)
			}
		default:
			return fmt.Errorf("%w: it holds %q", ErrNotStore, e.Name())
		}
	}
	return nil
}

// owner returns the process id of the lock's owner, 0 if it is not known.
func (s *Store) owner() int {
	b, err := s.readFile(s.dir + "/" + pidName)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// create makes a new store in the directory, which is locked. The file that
// makes it one comes last.
func (s *Store) create(id driver.ID) error {
	s.setID(id)
	if err := s.createMark(); err != nil {
		return err
	}
	if err := s.syncAbove(); err != nil {
		return err
	}
	return s.writeIdentity(id)
}

// syncAbove makes the name of the store's directory durable, and those of the
// directories above it, any of which may have been made just now, or by an
// opening that was interrupted.
func (s *Store) syncAbove() error {
	for dir, above := s.dir, ""; ; dir = above {
		if above = parentDir(dir); above == dir {
			return nil
		}
		err := s.syncDir(above)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) { // else it was not made by us
			return err
		}
	}
}

// ensureDirs makes the directories that are missing and makes durable all names
// that an opening, or a Save, that was interrupted may have left in memory only.
func (s *Store) ensureDirs() error {
	for _, name := range [...]string{logDir, stateDirName} {
		if err := s.opts.FS.MkdirAll(s.dir+"/"+name, 0o700); err != nil {
			return err
		}
	}
	if err := s.syncDir(s.dir); err != nil {
		return err
	}
	return s.syncDir(s.dir + "/" + stateDirName)
}

// createMark makes the file of the mark, its blocks there from the start so
// that writing it needs no room.
func (s *Store) createMark() error {
	f, err := s.opts.FS.OpenFile(s.dir+"/"+markName, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, markSlot+markSize), 0)
	if err == nil {
		m := markFile{file: f, logID: s.logID}
		err = m.write(mark{})
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) openMark(flag int) error {
	f, err := s.opts.FS.OpenFile(s.dir+"/"+markName, flag, 0)
	if errors.Is(err, fs.ErrNotExist) && flag == os.O_RDWR {
		// Losing the mark loses no record, only the proof of what was durable.
		s.opts.Logger.Warn("the durable mark is missing and is made again", "store", s.dir)
		if err = s.createMark(); err == nil {
			f, err = s.opts.FS.OpenFile(s.dir+"/"+markName, flag, 0)
		}
	}
	if err != nil {
		return err
	}
	s.mark = &markFile{file: f, logID: s.logID}
	return nil
}

func (s *Store) setID(id driver.ID) {
	s.logID = id
	s.seed = crc32.Checksum(id[:], castagnoli)
}

// Close waits for appends under way and releases the store. It ends every Wait;
// a Read under way ends with ErrClosed. A second Close does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var err error
	if w := s.writer; w != nil {
		w.close()
		w.sealer.finish()
		w.ahead.close()
		if w.seg != nil && s.writable() == nil {
			// The zeros made ahead go, so that a store at rest is as large as its log.
			if err = w.seg.file.Truncate(w.off); err == nil {
				err = errors.Join(w.seg.file.Sync(), s.mark.file.Sync())
			}
			if err == nil {
				// In the other slot too, so that at rest the loss of either loses nothing.
				err = s.mark.renew(w.mark(), 1)
			}
		}
	}
	close(s.done)
	if s.follower != nil {
		s.follower.close()
	}
	return errors.Join(err, s.release())
}

// release closes the files.
func (s *Store) release() error {
	var all []error
	if v := s.view.Load(); v != nil {
		for _, g := range v.segments {
			all = append(all, g.release())
		}
	}
	if s.mark != nil {
		all = append(all, s.mark.file.Close())
	}
	if s.lock != nil {
		_ = s.opts.FS.Remove(s.dir + "/" + pidName)
		all = append(all, s.lock.Close())
	}
	return errors.Join(all...)
}

// release closes the files of the segment.
func (g *segment) release() error {
	err := g.file.Close()
	if x := g.index.Load(); x != nil && x.sealed != nil {
		x.sealed.Close()
		err = errors.Join(err, x.file.Close())
	}
	return err
}
