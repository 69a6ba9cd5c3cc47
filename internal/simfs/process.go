package simfs

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/annals-db/annals/internal/vfs"
)

// Process is one process's view of a [Disk]. It is a vfs.FS.
type Process struct {
	disk   *Disk
	number int
	dead   bool
}

var _ vfs.FS = (*Process)(nil)

// Kill ends the process: every operation it begins from now on fails with
// [ErrPower], its locks are free, and what it wrote stays as it is.
func (p *Process) Kill() {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	p.dead = true
	for f, l := range p.disk.locks {
		if l.process == p {
			delete(p.disk.locks, f)
		}
	}
}

// OpenFile opens a file, with flags of package os.
func (p *Process) OpenFile(name string, flag int, _ fs.FileMode) (vfs.File, error) {
	d := p.disk
	op := Op{Kind: Open, Name: clean(name)}
	d.mu.Lock()
	n, err := d.find(name)
	d.mu.Unlock()
	if flag&os.O_CREATE != 0 && err != nil || flag&os.O_TRUNC != 0 {
		op.Kind = Create
	}
	_, _, err = d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, err = d.find(name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, pathError(op, fs.ErrExist)
	case err != nil && flag&os.O_CREATE == 0:
		return nil, pathError(op, err)
	case err != nil:
		if n.file, err = d.create(op); err != nil {
			return nil, pathError(op, err)
		}
	case n.dir != nil:
		return nil, pathError(op, fs.ErrInvalid)
	case flag&os.O_TRUNC != 0:
		d.truncate(n.file, 0)
	}
	return &file{process: p, inode: n.file, name: op.Name, write: flag&(os.O_WRONLY|os.O_RDWR) != 0}, nil
}

// create makes an empty file. A new name takes no room, except on a full disk.
func (d *Disk) create(op Op) (*inode, error) {
	in, last, err := d.parent(op.Name)
	if err != nil {
		return nil, err
	}
	if d.free == 0 {
		return nil, ErrFull
	}
	f := newInode(op.Name)
	in.change(entryChange{at: d.moment, new: last, node: node{file: f}})
	return f, nil
}

// Rename renames a file or directory over what has the new name, in one step
// within a directory.
func (p *Process) Rename(oldName, newName string) error {
	d, op := p.disk, Op{Kind: Rename, Name: clean(oldName), To: clean(newName)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := d.find(oldName)
	if err != nil {
		return pathError(op, err)
	}
	from, old, err1 := d.parent(oldName)
	to, now, err2 := d.parent(newName)
	if err1 != nil || err2 != nil {
		return pathError(op, fs.ErrNotExist)
	}
	if over, ok := to.current[now]; ok && over.file != nil {
		if over == n {
			return nil
		}
		d.release(over.file)
	}
	if n.file != nil {
		n.file.name = op.To
	}
	if from == to {
		from.change(entryChange{at: d.moment, old: old, new: now, node: n})
		return nil
	}
	to.change(entryChange{at: d.moment, new: now, node: n})
	from.change(entryChange{at: d.moment, old: old, node: n})
	return nil
}

// Remove removes a file or an empty directory. Who has it open keeps it.
func (p *Process) Remove(name string) error {
	d, op := p.disk, Op{Kind: Remove, Name: clean(name)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := d.find(name)
	if err != nil {
		return pathError(op, err)
	}
	if n.dir != nil && len(n.dir.current) > 0 {
		return pathError(op, fs.ErrExist)
	}
	in, last, err := d.parent(name)
	if err != nil {
		return pathError(op, err)
	}
	if n.file != nil {
		d.release(n.file)
	}
	in.change(entryChange{at: d.moment, old: last, node: n})
	return nil
}

// MkdirAll makes a directory and those above it.
func (p *Process) MkdirAll(name string, _ fs.FileMode) error {
	d, op := p.disk, Op{Kind: Mkdir, Name: clean(name)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	at := d.root
	for part := range strings.SplitSeq(op.Name[1:], "/") {
		if part == "" {
			continue
		}
		n, ok := at.current[part]
		if !ok {
			n = node{dir: newDir()}
			at.change(entryChange{at: d.moment, new: part, node: n})
		}
		if n.dir == nil {
			return pathError(op, fs.ErrExist)
		}
		at = n.dir
	}
	return nil
}

// ReadDir lists a directory, sorted by name.
func (p *Process) ReadDir(name string) ([]fs.DirEntry, error) {
	d, op := p.disk, Op{Kind: ReadDir, Name: clean(name)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, err := d.find(name)
	if err == nil && n.dir == nil {
		err = fs.ErrInvalid
	}
	if err != nil {
		return nil, pathError(op, err)
	}
	entries := make([]fs.DirEntry, 0, len(n.dir.current))
	for base, e := range n.dir.current {
		entries = append(entries, fs.FileInfoToDirEntry(infoOf(base, e)))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat describes a file or directory.
func (p *Process) Stat(name string) (fs.FileInfo, error) {
	d, op := p.disk, Op{Kind: Stat, Name: clean(name)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, err := d.find(name)
	if err != nil {
		return nil, pathError(op, err)
	}
	return infoOf(op.Name, n), nil
}

// SyncDir makes durable the entries that a directory had when it was called.
func (p *Process) SyncDir(name string) error {
	d, op := p.disk, Op{Kind: SyncDir, Name: clean(name)}
	fault, called, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil || fault == Lie {
		return err
	}
	n, err := d.find(name)
	if err == nil && n.dir == nil {
		err = fs.ErrInvalid
	}
	if err != nil {
		return pathError(op, err)
	}
	if fault == Partial {
		n.dir.settle(min(called, n.dir.some(d.rand.IntN)), KeepAll, d.rand)
		return pathError(op, ErrIO)
	}
	n.dir.settle(called, KeepAll, d.rand)
	return nil
}

// some returns the moment of one of the changes not yet durable.
func (d *dir) some(intN func(int) int) uint64 {
	if len(d.pending) == 0 {
		return 0
	}
	return d.pending[intN(len(d.pending))].at
}

// Lock takes the exclusive lock on a file, making it if need be.
func (p *Process) Lock(name string) (io.Closer, error) {
	d, op := p.disk, Op{Kind: Lock, Name: clean(name)}
	_, _, err := d.begin(p, op)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n, err := d.find(name)
	if err != nil {
		if n.file, err = d.create(op); err != nil {
			return nil, pathError(op, err)
		}
	}
	if n.file == nil {
		return nil, pathError(op, fs.ErrInvalid)
	}
	if d.locks[n.file] != nil {
		return nil, pathError(op, vfs.ErrLocked)
	}
	l := &lock{disk: d, inode: n.file, process: p}
	d.locks[n.file] = l
	return l, nil
}

// lock is a lock held.
type lock struct {
	disk    *Disk
	inode   *inode
	process *Process
}

func (l *lock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.disk.locks[l.inode] == l {
		delete(l.disk.locks, l.inode)
	}
	return nil
}
