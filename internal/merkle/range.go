package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Range is the compact form of the leaves [Begin, End): the hashes of the
// fewest whole subtrees that cover them, left to right, at most 2 per power of
// two. The zero Range is that of no leaves from leaf 0 on.
type Range struct {
	begin, end uint64
	nodes      []Hash
}

// NewRange returns the empty range [begin, begin).
func NewRange(begin uint64) *Range { return &Range{begin: begin, end: begin} }

// Begin is the number of the first leaf.
func (r *Range) Begin() uint64 { return r.begin }

// End is the number of the leaf after the last.
func (r *Range) End() uint64 { return r.end }

// Clone returns a copy of r that shares no memory with it.
func (r *Range) Clone() *Range {
	return &Range{r.begin, r.end, slices.Clone(r.nodes)}
}

// Append adds the leaf with number End.
func (r *Range) Append(leaf Hash) { r.appendSubtree(0, leaf) }

// appendSubtree adds the whole subtree of 1<<level leaves that begins at End,
// which is a multiple of its size, and closes the larger ones it completes.
func (r *Range) appendSubtree(level int, h Hash) {
	begin := r.end
	r.end += 1 << level
	for ; begin>>level&1 == 1 && begin-1<<level >= r.begin; level++ {
		last := len(r.nodes) - 1
		h = node(&r.nodes[last], &h)
		r.nodes = r.nodes[:last]
		begin -= 1 << level
	}
	r.nodes = append(r.nodes, h)
}

// Merge adds the leaves of next, which begins where r ends. An error leaves r as it was.
func (r *Range) Merge(next *Range) error {
	if next.begin != r.end {
		return fmt.Errorf("merkle: the range [%d, %d) does not continue [%d, %d)", next.begin, next.end, r.begin, r.end)
	}
	nodes := next.nodes
	for level := range levels(next.begin, next.end) {
		r.appendSubtree(level, nodes[0])
		nodes = nodes[1:]
	}
	return nil
}

// levels yields the levels of the subtrees that cover [begin, end), left to right.
func levels(begin, end uint64) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for begin < end {
			level := bits.Len64(end-begin) - 1
			if begin != 0 {
				level = min(level, bits.TrailingZeros64(begin))
			}
			if !yield(level) {
				return
			}
			begin += 1 << level
		}
	}
}

// Root returns the tree head over the leaves [0, End). It fails if r does not begin at 0.
func (r *Range) Root() (Hash, error) {
	if r.begin != 0 {
		return Hash{}, fmt.Errorf("merkle: the range [%d, %d) has no root", r.begin, r.end)
	}
	if len(r.nodes) == 0 {
		return EmptyRoot, nil
	}
	last := len(r.nodes) - 1
	root := r.nodes[last]
	for i := last - 1; i >= 0; i-- {
		root = node(&r.nodes[i], &root)
	}
	return root, nil
}

// A stored range, integers big-endian:
//
//	bytes  what
//	    1  0x01, the version of this table
//	    8  begin
//	    8  end
//	32 n   the subtrees' hashes, left to right; begin and end give their number
const (
	rangeVersion = 0x01
	rangeHeader  = 1 + 8 + 8
)

// AppendBinary appends the stored form of r to b. The error is always nil.
func (r *Range) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, rangeVersion)
	b = binary.BigEndian.AppendUint64(b, r.begin)
	b = binary.BigEndian.AppendUint64(b, r.end)
	for i := range r.nodes {
		b = append(b, r.nodes[i][:]...)
	}
	return b, nil
}

// MarshalBinary returns the stored form of r. The error is always nil.
func (r *Range) MarshalBinary() ([]byte, error) { return r.AppendBinary(nil) }

// UnmarshalBinary sets r from its stored form, all of b. An error leaves r as it was.
func (r *Range) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) < rangeHeader:
		return errors.New("merkle: a stored range is too short")
	case b[0] != rangeVersion:
		return fmt.Errorf("merkle: a stored range of unknown version %d", b[0])
	}
	begin, end := binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	if begin > end || end > 1<<63 {
		return fmt.Errorf("merkle: a stored range from %d to %d", begin, end)
	}
	n := 0
	for range levels(begin, end) {
		n++
	}
	b = b[rangeHeader:]
	if len(b) != n*sha256.Size {
		return fmt.Errorf("merkle: a stored range [%d, %d) has %d bytes of hashes, not %d", begin, end, len(b), n*sha256.Size)
	}
	nodes := make([]Hash, n)
	for i := range nodes {
		copy(nodes[i][:], b[i*sha256.Size:])
	}
	*r = Range{begin, end, nodes}
	return nil
}
