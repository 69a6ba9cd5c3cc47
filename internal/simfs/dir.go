package simfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// node is what a name stands for: a file or a directory.
type node struct {
	file *inode
	dir  *dir
}

// dir is a directory: its entries as processes see them, as the disk holds
// them for certain, and what lies between.
type dir struct {
	current map[string]node
	disk    map[string]node
	pending []entryChange // since the last SyncDir, in order
}

// entryChange is one change of a directory's entries, of which a power cut
// leaves the whole or nothing: old, if not "", goes, and new, if not "", is
// what node is.
type entryChange struct {
	at       uint64
	old, new string
	node     node
}

func newDir() *dir { return &dir{current: map[string]node{}, disk: map[string]node{}} }

func (d *dir) change(c entryChange) {
	c.apply(d.current)
	d.pending = append(d.pending, c)
}

func (c entryChange) apply(entries map[string]node) {
	if c.old != "" && entries[c.old] == c.node {
		delete(entries, c.old)
	}
	if c.new != "" {
		entries[c.new] = c.node
	}
}

// settle makes durable a choice of what was pending at moment limit: all,
// nothing, or at Random the first few or any.
func (d *dir) settle(limit uint64, m Mood, r *rand.Rand) {
	var late []entryChange
	n := len(d.pending)
	for k, c := range d.pending {
		if c.at > limit {
			n, late = k, d.pending[k:]
			break
		}
	}
	first := m.choose(n+1, r)
	inOrder := m != Random || r.IntN(2) == 0
	for k, c := range d.pending[:n] {
		if inOrder && k < first || !inOrder && r.IntN(2) == 0 {
			c.apply(d.disk)
		}
	}
	d.pending = late
}

// cut leaves of d and all below what a power cut leaves.
func (d *dir) cut(path string, mood func(string) Mood, r *rand.Rand, settled map[*inode]bool) {
	d.settle(^uint64(0), mood(path).settled(r), r)
	d.current = maps.Clone(d.disk)
	for _, name := range slices.Sorted(maps.Keys(d.current)) {
		switch n := d.current[name]; {
		case n.dir != nil:
			n.dir.cut(path+name+"/", mood, r, settled)
		case !settled[n.file]: // two names may be left of one file
			settled[n.file] = true
			n.file.name = path + name
			n.file.settle(^uint64(0), mood(path+name).settled(r), r)
			n.file.restart()
		}
	}
}

// restart makes processes see what the disk holds.
func (f *inode) restart() {
	f.current = slices.Clone(f.disk)
	clear(f.pending)
	f.sizes, f.charged = nil, 0
	clear(f.alloc)
	for n := range (int64(len(f.disk)) + Sector - 1) / Sector {
		f.alloc[n] = true
	}
}

func (d *dir) clone() *dir {
	c := newDir()
	for name, n := range d.current {
		if n.dir != nil {
			c.current[name] = node{dir: n.dir.clone()}
			continue
		}
		f := newInode(n.file.name)
		f.disk = slices.Clone(n.file.current)
		f.restart()
		c.current[name] = node{file: f}
	}
	c.disk = maps.Clone(c.current)
	return c
}

func (d *dir) walk(at string, do func(string, *inode)) {
	for _, name := range slices.Sorted(maps.Keys(d.current)) {
		if n := d.current[name]; n.dir != nil {
			n.dir.walk(at+name+"/", do)
		} else {
			do(at+name, n.file)
		}
	}
}
