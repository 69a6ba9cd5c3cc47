package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/annals-db/annals/driver"
)

// stateDir is the small state beside the log: the folder "state" with one file
// for each key. It fulfils driver.State.
type stateDir struct {
	s     *Store
	dir   string
	locks [16]sync.Mutex // by the key's name; held while its file is read or replaced

	mu   sync.Mutex
	last uint64 // the newest revision given
}

var _ driver.State = (*stateDir)(nil)

const stateSuffix = ".key"

// State returns the state, nil where the store is open read-only.
func (s *Store) State() driver.State {
	if s.state == nil {
		return nil
	}
	return s.state
}

// ReadState returns the state as it can be looked at beside a writer, too.
func (s *Store) ReadState() driver.State {
	return readState{&stateDir{s: s, dir: s.dir + "/" + stateDirName}}
}

// readState is a state that is not changed.
type readState struct{ *stateDir }

func (readState) Save(_ context.Context, key string, _ []byte, _ uint64) (uint64, error) {
	return 0, fmt.Errorf("save state %q: %w", key, driver.ErrReadOnly)
}

func (readState) Delete(_ context.Context, key string, _ uint64) error {
	return fmt.Errorf("delete state %q: %w", key, driver.ErrReadOnly)
}

// openState opens the state and removes what an interrupted Save left.
func (s *Store) openState() (*stateDir, error) {
	d := &stateDir{s: s, dir: s.dir + "/" + stateDirName}
	entries, err := s.opts.FS.ReadDir(d.dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), temporarySuffix) {
			_ = s.opts.FS.Remove(d.dir + "/" + e.Name())
		}
	}
	return d, err
}

// file returns the name of key's file and the lock to hold for it.
func (d *stateDir) file(key string) (string, *sync.Mutex) {
	sum := sha256.Sum256([]byte(key))
	return d.dir + "/" + hex.EncodeToString(sum[:20]) + stateSuffix, &d.locks[sum[0]%16]
}

// Load returns the value under key and its revision.
func (d *stateDir) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := d.usable(ctx); err != nil {
		return nil, 0, err
	}
	name, lock := d.file(key)
	lock.Lock()
	defer lock.Unlock()
	e, err := d.s.readState(name)
	if err == nil && e.key != key || isGone(err) {
		err = driver.ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load state %q: %w", key, err)
	}
	return e.value, e.revision, nil
}

// Save stores value if key's revision is expect.
func (d *stateDir) Save(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := d.usable(ctx); err != nil {
		return 0, err
	}
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	name, lock := d.file(key)
	lock.Lock()
	defer lock.Unlock()
	at, err := d.expect(name, expect)
	if err == nil {
		revision := d.next(at)
		b := stateEntry{revision: revision, key: key, value: value}.append(nil)
		if err = d.s.replaceFile(name, writeAll(b)); err == nil {
			return revision, nil
		}
		err = fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return 0, fmt.Errorf("save state %q: %w", key, err)
}

// Delete removes key if its revision is expect.
func (d *stateDir) Delete(ctx context.Context, key string, expect uint64) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	name, lock := d.file(key)
	lock.Lock()
	defer lock.Unlock()
	at, err := d.expect(name, expect)
	if err == nil && at != 0 {
		if err = d.s.opts.FS.Remove(name); err == nil {
			err = d.s.syncDir(d.dir)
		}
	}
	if err != nil {
		return fmt.Errorf("delete state %q: %w", key, err)
	}
	return nil
}

// Keys yields the keys that begin with prefix, in order.
func (d *stateDir) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		keys, err := d.keys(ctx, prefix)
		for _, k := range keys {
			if err = ctx.Err(); err != nil {
				break
			}
			if !yield(k, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (d *stateDir) keys(ctx context.Context, prefix string) ([]string, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	entries, err := d.s.opts.FS.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), stateSuffix) {
			continue
		}
		e, err := d.s.readState(d.dir + "/" + e.Name())
		if isGone(err) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(e.key, prefix) {
			keys = append(keys, e.key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// expect returns the revision that the file is at, 0 if there is none, and an
// error unless it is the one expected.
func (d *stateDir) expect(name string, revision uint64) (uint64, error) {
	e, err := d.s.readState(name)
	if err != nil && !isGone(err) {
		var damage *driver.CorruptError
		if errors.As(err, &damage) && revision == driver.AnyRevision {
			return 1, nil // to be replaced or removed whatever it is
		}
		return 0, err
	}
	if revision != driver.AnyRevision && revision != e.revision {
		return 0, fmt.Errorf("it is at revision %d, not %d: %w", e.revision, revision, driver.ErrRevision)
	}
	return e.revision, nil
}

// next returns a revision later than at. It follows the clock, so that a key
// that was deleted and made again never has an old one.
func (d *stateDir) next(at uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = max(d.last+1, at+1, uint64(max(d.s.opts.Clock().UnixNano(), 0)))
	return d.last
}

// readState reads the file of one key.
func (s *Store) readState(name string) (stateEntry, error) {
	b, err := s.readFile(name)
	if err != nil {
		return stateEntry{}, err
	}
	e, err := parseStateEntry(b)
	if err != nil {
		return stateEntry{}, &driver.CorruptError{Place: name, Reason: err.Error()}
	}
	return e, nil
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func (d *stateDir) usable(ctx context.Context) error {
	if d.s.closed.Load() {
		return driver.ErrClosed
	}
	return ctx.Err()
}
