package simfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Sector is the bytes that a disk writes at once, mostly.
const Sector = 512

// versionsKept bounds the states remembered of a sector that is written again
// and again without a Sync.
const versionsKept = 16

// inode is a file's bytes: as processes see them, and as the disk holds them.
type inode struct {
	name    string // the last one it had, for messages and moods
	current []byte // what reads return
	disk    []byte // what is on the disk for certain
	// pending holds, by sector, what it was made into since the disk last took
	// it, oldest first. A sector of current that differs from the disk and is
	// not pending counts as clean: a Sync failed.
	pending map[int64][]version
	sizes   []sizeAt       // the sizes it had since the last Sync, oldest first
	alloc   map[int64]bool // the sectors that take up room
	charged int64          // bytes held by copy on write until the next Sync
}

// version is what a sector was from a moment on. A cut one was made by
// Truncate: the disk has it exactly if it has that truncation's size.
type version struct {
	at   uint64
	data []byte // Sector bytes
	cut  bool
}

type sizeAt struct {
	at   uint64
	size int64
}

func newInode(name string) *inode {
	return &inode{name: name, pending: map[int64][]version{}, alloc: map[int64]bool{}}
}

// sector returns a copy of sector n of b, with zeros after b's end.
func sector(b []byte, n int64) []byte {
	s := make([]byte, Sector)
	if from := n * Sector; from < int64(len(b)) {
		copy(s, b[from:])
	}
	return s
}

// resized returns b with the given length, with zeros where it grew.
func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return slices.Clip(b[:size])
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// write applies a write at moment at.
func (f *inode) write(p []byte, off int64, at uint64) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	if end > int64(len(f.current)) {
		f.current = resized(f.current, end)
	}
	if end > f.sizeToBe() {
		f.sizes = append(f.sizes, sizeAt{at, end})
	}
	copy(f.current[off:], p)
	for n := off / Sector; n <= (end-1)/Sector; n++ {
		f.alloc[n] = true
		f.remember(n, version{at: at, data: sector(f.current, n)})
	}
}

// sizeToBe is the size on the disk once all that is pending is there.
func (f *inode) sizeToBe() int64 {
	if n := len(f.sizes); n > 0 {
		return f.sizes[n-1].size
	}
	return int64(len(f.disk))
}

func (f *inode) remember(n int64, v version) {
	vs := append(f.pending[n], v)
	if len(vs) > versionsKept && !vs[0].cut {
		vs = vs[1:]
	}
	f.pending[n] = vs
}

// truncate sets the size at moment at.
func (f *inode) truncate(size int64, at uint64) {
	old := int64(len(f.current))
	f.sizes = append(f.sizes, sizeAt{at, size})
	f.current = resized(f.current, size)
	for n := size / Sector; n*Sector < old; n++ {
		f.remember(n, version{at: at, data: sector(f.current, n), cut: true})
		if n*Sector >= size {
			delete(f.alloc, n)
		}
	}
}

// settle puts on the disk a choice of what was pending at moment limit, and
// forgets the rest of that.
func (f *inode) settle(limit uint64, m Mood, r *rand.Rand) {
	sizes := 0
	for sizes < len(f.sizes) && f.sizes[sizes].at <= limit {
		sizes++
	}
	until, size := uint64(0), int64(len(f.disk)) // the size that the disk takes, and its moment
	if k := m.choose(sizes+1, r); k > 0 {
		until, size = f.sizes[k-1].at, f.sizes[k-1].size
	}
	before := f.disk
	f.disk = resized(slices.Clone(before), size)
	for _, n := range slices.Sorted(maps.Keys(f.pending)) { // in order, since m draws random numbers
		vs := f.pending[n]
		k := 0
		for k < len(vs) && vs[k].at <= limit {
			k++
		}
		if k > 0 && n*Sector < size {
			copy(f.disk[n*Sector:], choice(sector(before, n), vs[:k], until, m, r))
		}
		if k == len(vs) {
			delete(f.pending, n)
		} else {
			f.pending[n] = vs[k:]
		}
	}
	f.sizes = f.sizes[sizes:]
}

// choice returns one of the states that a sector went through, given that the
// disk took the size of moment until: what was before a truncation that the
// disk has is gone, what came after one that it does not have never was.
func choice(disk []byte, vs []version, until uint64, m Mood, r *rand.Rand) []byte {
	states := [][]byte{disk}
	for _, v := range vs {
		if v.cut && v.at > until {
			break
		}
		if v.cut {
			states = states[:0]
		}
		states = append(states, v.data)
	}
	k := m.choose(len(states), r)
	if m != Random || k == 0 || r.IntN(8) > 0 {
		return states[k]
	}
	// Torn: the new bytes up to a point and the old after it, or the other way round.
	at, a, b := r.IntN(Sector), states[k], states[k-1]
	if r.IntN(2) == 0 {
		a, b = b, a
	}
	return append(slices.Clone(a[:at]), b[at:]...)
}
