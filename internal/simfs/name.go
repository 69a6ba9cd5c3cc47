package simfs

import (
	"io/fs"
	"path"
	"strings"
)

// clean returns name from the root.
func clean(name string) string { return path.Clean("/" + name) }

// find returns what name stands for.
func (d *Disk) find(name string) (node, error) {
	n := node{dir: d.root}
	for part := range strings.SplitSeq(clean(name)[1:], "/") {
		if part == "" {
			continue
		}
		if n.dir == nil {
			return node{}, fs.ErrNotExist
		}
		next, ok := n.dir.current[part]
		if !ok {
			return node{}, fs.ErrNotExist
		}
		n = next
	}
	return n, nil
}

// parent returns the directory that name is in, and its last part.
func (d *Disk) parent(name string) (*dir, string, error) {
	at, last := path.Split(clean(name))
	n, err := d.find(at)
	if err != nil {
		return nil, "", err
	}
	if n.dir == nil || last == "" {
		return nil, "", fs.ErrInvalid
	}
	return n.dir, last, nil
}
