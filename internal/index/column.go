package index

import (
	"sync/atomic"
	"unsafe"
)

const (
	chunkLen   = 512      // items in a chunk of a column
	arenaChunk = 16 << 10 // bytes in a chunk of an arena, longer names apart
)

// column is a list that one goroutine appends to while others read. Items
// never move; a reader must have learnt from an atomic value stored after the
// append that an item is there.
type column[T any] struct {
	chunks atomic.Pointer[[]*[chunkLen]T]
	n      uint32 // the writer's
}

// at returns item i.
func (c *column[T]) at(i uint32) *T {
	return &(*c.chunks.Load())[i/chunkLen][i%chunkLen]
}

// grow returns a new item at the end, zero, and its number.
func (c *column[T]) grow() (*T, uint32) {
	i := c.n
	if i%chunkLen == 0 {
		var chunks []*[chunkLen]T
		if old := c.chunks.Load(); old != nil {
			chunks = *old
		}
		chunks = append(chunks, new([chunkLen]T))
		c.chunks.Store(&chunks)
	}
	c.n++
	return c.at(i), i
}

// arena keeps texts without a pointer or an allocation each; it is shared like a column.
type arena struct {
	chunks atomic.Pointer[[][]byte]
	used   int // of the last chunk; the writer's
}

// text is a place in an arena.
type text struct{ chunk, offset, size uint32 }

// at returns the text at t.
func (a *arena) at(t text) string {
	return unsafe.String(unsafe.SliceData((*a.chunks.Load())[t.chunk][t.offset:]), int(t.size))
}

// add copies s to the arena.
func (a *arena) add(s string) text {
	chunks := a.chunks.Load()
	if chunks == nil || a.used+len(s) >= len((*chunks)[len(*chunks)-1]) {
		chunks = a.extend(len(s))
	}
	last := len(*chunks) - 1
	t := text{uint32(last), uint32(a.used), uint32(len(s))}
	a.used += copy((*chunks)[last][a.used:], s)
	return t
}

// extend adds a chunk with room for more than size bytes.
func (a *arena) extend(size int) *[][]byte {
	var chunks [][]byte
	if old := a.chunks.Load(); old != nil {
		chunks = *old
	}
	chunks = append(chunks, make([]byte, max(arenaChunk, size+1)))
	a.chunks.Store(&chunks)
	a.used = 0
	return &chunks
}
