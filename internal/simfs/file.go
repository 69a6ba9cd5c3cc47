package simfs

import (
	"io"
	"io/fs"
	"path"
	"time"
)

// file is an open file.
type file struct {
	process *Process
	inode   *inode
	name    string // as opened
	write   bool
	closed  bool
}

func (f *file) begin(op Op) (Fault, uint64, error) {
	op.Name = f.name
	fault, called, err := f.process.disk.begin(f.process, op)
	switch {
	case err != nil:
	case f.closed:
		err = pathError(op, fs.ErrClosed)
	case !f.write && op.Kind.Changes() && op.Kind != Sync:
		err = pathError(op, fs.ErrPermission)
	}
	return fault, called, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	op := Op{Kind: ReadAt, Offset: off, Length: len(p)}
	fault, _, err := f.begin(op)
	defer f.process.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.inode.current)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.current[off:])
	if fault != None {
		return n / 2, pathError(op, ErrIO)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes as much as there is room for.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	op := Op{Kind: WriteAt, Name: f.name, Offset: off, Length: len(p)}
	fault, _, err := f.begin(op)
	d := f.process.disk
	defer d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n := len(p)
	if fault != None {
		if err = pathError(op, ErrIO); d.rand.IntN(4) > 0 { // else all of it
			n = d.rand.IntN(n + 1)
		}
	}
	if room := d.take(f.inode, off, n); room < n {
		n, err = room, pathError(op, ErrFull)
	}
	f.inode.write(p[:n], off, d.moment)
	return n, err
}

// take takes the room for a write, and returns how many of its bytes fit.
func (d *Disk) take(f *inode, off int64, n int) int {
	if d.free < 0 {
		return n
	}
	for s := off / Sector; s*Sector < off+int64(n); s++ {
		if f.alloc[s] && !d.cow {
			continue
		}
		if d.free < Sector {
			return int(max(0, s*Sector-off))
		}
		d.free -= Sector
		if f.alloc[s] {
			f.charged += Sector
		}
		f.alloc[s] = true
	}
	return n
}

// release gives back the room of a file that goes.
func (d *Disk) release(f *inode) {
	if d.free >= 0 {
		d.free += int64(len(f.alloc))*Sector + f.charged
		f.charged = 0
	}
}

// truncate sets a file's size.
func (d *Disk) truncate(f *inode, size int64) {
	before := len(f.alloc)
	f.truncate(size, d.moment)
	if d.free >= 0 {
		d.free += int64(before-len(f.alloc)) * Sector
	}
}

func (f *file) Truncate(size int64) error {
	_, _, err := f.begin(Op{Kind: Truncate, Offset: size})
	defer f.process.disk.mu.Unlock()
	if err != nil {
		return err
	}
	f.process.disk.truncate(f.inode, size)
	return nil
}

func (f *file) Sync() error {
	op := Op{Kind: Sync, Name: f.name}
	fault, called, err := f.begin(op)
	d := f.process.disk
	defer d.mu.Unlock()
	switch {
	case fault == Lie && err == nil:
		return nil
	case fault == Fail && !f.process.dead:
		f.inode.settle(called, KeepNone, d.rand)
		return err
	case err != nil:
		return err
	case fault == Partial:
		f.inode.settle(called, Random, d.rand)
		return pathError(op, ErrIO)
	}
	f.inode.settle(called, KeepAll, d.rand)
	if d.free >= 0 {
		d.free += f.inode.charged
	}
	f.inode.charged = 0
	return nil
}

func (f *file) Size() (int64, error) {
	_, _, err := f.begin(Op{Kind: Stat})
	defer f.process.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return int64(len(f.inode.current)), nil
}

func (f *file) Close() error {
	f.process.disk.mu.Lock()
	defer f.process.disk.mu.Unlock()
	if f.closed {
		return pathError(Op{Kind: Open, Name: f.name}, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

// info describes a file or directory.
type info struct {
	name string
	size int64
	dir  bool
}

func infoOf(name string, n node) info {
	if n.dir != nil {
		return info{name: path.Base(name), dir: true}
	}
	return info{name: path.Base(name), size: int64(len(n.file.current))}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
