package simfs

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// Options are the hooks of a [Disk].
type Options struct {
	// Gate is called before each operation that changes something or syncs,
	// and before Lock, with no lock held, and may keep it waiting. Defaults to none.
	Gate func(Op)
	// Fault says what becomes of an operation. It is called once for each, one
	// at a time. Defaults to none failing.
	Fault func(Op) Fault
}

// Disk is a file system on one disk, in memory. Any number of goroutines and
// processes may use it at once.
type Disk struct {
	mu        sync.Mutex
	o         Options
	rand      *rand.Rand
	root      *dir
	moment    uint64 // counts changes
	processes []*Process
	locks     map[*inode]*lock
	free      int64 // bytes, -1 without end
	cow       bool
	counts    [Lock + 1]int
}

// New returns an empty disk whose every choice follows from seed.
func New(seed uint64, o *Options) *Disk {
	d := &Disk{rand: rand.New(rand.NewPCG(seed, 0x5eed)), root: newDir(), free: -1, locks: map[*inode]*lock{}}
	if o != nil {
		d.o = *o
	}
	return d
}

// SetFault changes the hook of that name.
func (d *Disk) SetFault(f func(Op) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.o.Fault = f
}

// SetSpace leaves the disk with room for the given bytes more, or without end
// if that is negative. With copyOnWrite a write over bytes that are there
// takes room too, until the next Sync, as on btrfs and ZFS.
func (d *Disk) SetSpace(bytes int64, copyOnWrite bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free, d.cow = bytes, copyOnWrite
}

// Process starts a process.
func (d *Disk) Process() *Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &Process{disk: d, number: len(d.processes) + 1}
	d.processes = append(d.processes, p)
	return p
}

// PowerCut ends every process and leaves what a power cut may leave. mood says
// how much of a file or directory (which ends in "/") not synced is left; nil
// leaves that to the seed.
func (d *Disk) PowerCut(mood func(name string) Mood) {
	if mood == nil {
		mood = func(string) Mood { return Any }
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.processes {
		p.dead = true
	}
	clear(d.locks)
	d.root.cut("/", mood, d.rand, map[*inode]bool{})
}

// Count returns how many operations of kind k were done or failed.
func (d *Disk) Count(k Kind) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[k]
}

// Files returns the bytes of every file as processes see them, by name.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string][]byte{}
	d.root.walk("/", func(name string, f *inode) { files[name] = slices.Clone(f.current) })
	return files
}

// Flip inverts bit number bit of a file at rest: on the disk and as read. It
// reports whether the file is that long.
func (d *Disk) Flip(name string, bit int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil || n.file == nil || bit/8 >= int64(len(n.file.current)) {
		return false
	}
	f, mask := n.file, byte(1)<<(bit%8)
	f.current = slices.Clone(f.current)
	f.current[bit/8] ^= mask
	if bit/8 < int64(len(f.disk)) {
		f.disk = slices.Clone(f.disk)
		f.disk[bit/8] ^= mask
	}
	return true
}

// Replace makes the bytes of a file at rest others, on the disk and as read. It
// reports whether there is such a file.
func (d *Disk) Replace(name string, data []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil || n.file == nil {
		return false
	}
	n.file.disk = slices.Clone(data)
	n.file.restart()
	return true
}

// Lose takes a name away at rest, on the disk and as seen. It reports whether
// there was one.
func (d *Disk) Lose(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	in, last, err := d.parent(name)
	if err != nil {
		return false
	}
	_, ok := in.current[last]
	delete(in.current, last)
	delete(in.disk, last)
	return ok
}

// Clone returns another disk that holds durably what processes see on this
// one, without its hooks and processes.
func (d *Disk) Clone(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(seed, nil)
	c.root = d.root.clone()
	return c
}

// begin lets an operation of p start: it waits at the gate, and returns with
// the disk locked, what becomes of the operation and the moment it was called at.
func (d *Disk) begin(p *Process, op Op) (fault Fault, called uint64, err error) {
	op.Process = p.number
	d.mu.Lock()
	called = d.moment
	gate := d.o.Gate
	if gate != nil && op.Kind.Changes() && !p.dead {
		d.mu.Unlock()
		gate(op)
		d.mu.Lock()
	}
	if p.dead {
		return Fail, called, pathError(op, ErrPower)
	}
	d.moment++
	d.counts[op.Kind]++
	if d.o.Fault != nil {
		fault = d.o.Fault(op)
	}
	if fault == Fail {
		err = pathError(op, ErrIO)
	}
	return fault, called, err
}
