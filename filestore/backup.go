package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/vfs"
)

// BackupOptions are what [Store.Backup] and [Restore] may be told.
type BackupOptions struct {
	// Progress is told the bytes of segments done and to do. Defaults to nothing.
	Progress func(done, total int64)
}

// BackupResult says what a backup holds and what making it took.
type BackupResult struct {
	LogID   driver.ID
	Head    driver.Position // the last position in the backup
	Copied  int64           // bytes of segments and index files copied
	Skipped int64           // bytes that an earlier backup in the same place had already
}

// Backup copies the log, as it is durable now, and the state into the
// directory dir, which becomes a store of its own. The store goes on being
// used meanwhile. Into the directory of an earlier backup of the same log it
// copies only what is new; one of another log, or of another history of this
// log, is an error. A backup that was interrupted holds an earlier part of the
// log, and the next one into the same place completes it.
func (s *Store) Backup(ctx context.Context, dir string, opts *BackupOptions) (BackupResult, error) {
	v, err := s.current(ctx)
	if err != nil {
		return BackupResult{}, err
	}
	if opts == nil {
		opts = &BackupOptions{}
	}
	b := &backup{ctx: ctx, from: s, v: v, progress: opts.Progress, result: BackupResult{LogID: s.logID, Head: v.head}}
	for i := range v.segments {
		b.total += v.endOf(i)
	}
	if err := b.run(dir); err != nil {
		return BackupResult{}, fmt.Errorf("back up %s to %s: %w", s.dir, dir, s.ioError(err))
	}
	return b.result, nil
}

// backup is one Backup under way.
type backup struct {
	ctx      context.Context
	from     *Store
	to       *Store // not open, only its directory, identity and mark
	v        *view
	progress func(done, total int64)
	done     int64
	total    int64
	result   BackupResult
}

func (b *backup) run(dir string) (err error) {
	if b.v.damage != nil {
		return b.v.damage
	}
	if err := b.open(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.to.release()) }()
	for i := range b.v.segments {
		if err := b.segment(i); err != nil {
			return err
		}
	}
	if err := b.state(); err != nil {
		return err
	}
	m := mark{offset: b.v.end, position: b.v.head, group: b.v.group, time: b.v.time}
	if g := b.v.active(); g != nil {
		m.segment = g.number
	}
	if err := b.to.mark.write(m); err != nil {
		return err
	}
	return b.to.mark.file.Sync()
}

// open locks the directory and makes it a store if it is none.
func (b *backup) open(dir string) error {
	opts := b.from.opts
	opts.MustExist = false
	to := &Store{opts: opts, dir: slashed(dir), done: make(chan struct{})}
	b.to = to
	if err := b.openStore(); err != nil {
		return errors.Join(err, to.release())
	}
	return nil
}

func (b *backup) openStore() error {
	to := b.to
	if err := to.lockDir(); err != nil {
		return err
	}
	id, err := to.identity()
	if isGone(err) {
		id, err = b.from.logID, to.create(b.from.logID)
	}
	if err != nil {
		return err
	}
	if id != b.from.logID {
		return fmt.Errorf("it holds the log %s, not %s", id, b.from.logID)
	}
	to.setID(id)
	if err := to.ensureDirs(); err != nil {
		return err
	}
	if err := to.openMark(os.O_RDWR); err != nil {
		return err
	}
	m, _, err := to.mark.read()
	if err != nil && !errors.Is(err, errNoMark) {
		return err
	}
	to.mark.last = m.sequence
	if m.position > b.v.head {
		return fmt.Errorf("it holds positions up to %d, and the log ends at %d", m.position, b.v.head)
	}
	return nil
}

// segment brings segment i of the backup abreast.
func (b *backup) segment(i int) error {
	g, end := b.v.segments[i], b.v.endOf(i)
	name := b.to.segmentName(g.number)
	same, err := b.has(g, name, end)
	if err != nil {
		return err
	}
	if same {
		b.result.Skipped += end
		b.step(end)
		return nil
	}
	err = b.to.replaceFile(name, func(w io.Writer) error { return b.copyTo(w, g.file, end, true) })
	if err != nil {
		return err
	}
	x := g.index.Load()
	if x.sealed == nil {
		return nil // opening the backup makes it
	}
	size, err := x.file.Size()
	if err != nil {
		return err
	}
	return b.to.replaceFile(indexName(name), func(w io.Writer) error { return b.copyTo(w, x.file, size, false) })
}

// has reports whether the backup has the first end bytes of g already, under
// name. An index file there vouches for a segment by its hash tree; without
// one the bytes are compared, and others than those of g are an error.
func (b *backup) has(g *segment, name string, end int64) (bool, error) {
	f, err := b.to.opts.FS.OpenFile(name, os.O_RDONLY, 0)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	other := &segment{number: g.number, name: name, file: f, header: g.header}
	if x, own, err := b.indexOf(other); err == nil {
		defer x.file.Close()
		defer x.sealed.Close()
		if here := g.index.Load().sealed; here != nil && size == own.end && string(here.Extra()) == string(x.sealed.Extra()) {
			return true, nil
		}
	}
	prefix := min(size, end)
	if err := b.samePrefix(g, other, prefix); err != nil {
		return false, err
	}
	return size == end && g.index.Load().sealed == nil, nil
}

// indexOf opens the index file of a segment of the backup.
func (b *backup) indexOf(g *segment) (*segmentIndex, sealed, error) {
	b.to.indexes = b.from.indexes
	return b.to.openIndex(g)
}

// samePrefix returns an error unless the first n bytes of both are the same,
// leaving aside zeros at the end of the backup's.
func (b *backup) samePrefix(here, there *segment, n int64) error {
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < n; at += int64(len(x)) {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		size := min(int64(len(x)), n-at)
		if err := errors.Join(readFull(here, x[:size], at), readFull(there, y[:size], at)); err != nil {
			return err
		}
		if !bytes.Equal(x[:size], y[:size]) && lastNonZero(y[:size]) >= 0 {
			return fmt.Errorf("%s holds another history of the same log", there.name)
		}
	}
	return nil
}

// copyTo copies the first n bytes of f.
func (b *backup) copyTo(w io.Writer, f vfs.File, n int64, counts bool) error {
	buf := make([]byte, 1<<20)
	for at := int64(0); at < n; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), n-at)]
		if read, err := f.ReadAt(part, at); read < len(part) {
			if err == nil || isEOF(err) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		at += int64(len(part))
		b.result.Copied += int64(len(part))
		if counts {
			b.step(int64(len(part)))
		}
	}
	return nil
}

func (b *backup) step(n int64) {
	b.done += n
	if b.progress != nil {
		b.progress(b.done, b.total)
	}
}

// state makes the state of the backup that of the store.
func (b *backup) state() error {
	from, to := b.from.dir+"/"+stateDirName, b.to.dir+"/"+stateDirName
	fsys := b.from.opts.FS
	entries, err := fsys.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keep := map[string]bool{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), stateSuffix) {
			continue
		}
		data, err := b.from.readFile(from + "/" + e.Name())
		if isGone(err) {
			continue // deleted meanwhile
		}
		if err == nil {
			_, err = parseStateEntry(data)
		}
		if err != nil {
			return fmt.Errorf("state file %s: %w", e.Name(), err)
		}
		keep[e.Name()] = true
		if old, err := b.to.readFile(to + "/" + e.Name()); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := b.to.replaceFile(to+"/"+e.Name(), writeAll(data)); err != nil {
			return err
		}
	}
	old, err := fsys.ReadDir(to)
	if err != nil {
		return err
	}
	for _, e := range old {
		if !keep[e.Name()] {
			if err := fsys.Remove(to + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	return b.to.syncDir(to)
}
