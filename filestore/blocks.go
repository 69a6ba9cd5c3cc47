package filestore

import (
	"io"
	"sync"
	"sync/atomic"
)

// blockCache keeps blocks of segment files that single records were read from.
// A block is found without a lock and is never changed once it is there, so
// records alias it: one that is kept keeps its block of 8 KiB. What has been
// written to a segment never changes, so nothing here ever goes stale; for the
// last block of the active segment, which grows, a longer one is put in its place.
type blockCache struct {
	mu    sync.Mutex
	ring  []*block // all that are in a table
	limit int
	hand  int // of the clock that chooses what to drop
}

const blockSize = 8 << 10

// block is a part of a segment file.
type block struct {
	table  *blockTable
	number int64 // its offset in the file, in blocks
	data   []byte
	used   atomic.Bool // since the hand last passed
	slot   int         // in the ring
}

// blockTable is the blocks of one segment, by number. The cache's lock is held
// to change it.
type blockTable struct {
	slots atomic.Pointer[[]atomic.Pointer[block]]
}

func newBlockCache(bytes int64) *blockCache {
	return &blockCache{limit: max(32, int(bytes/blockSize))}
}

// load returns a block, nil if it is not there.
func (t *blockTable) load(number int64) *block {
	slots := t.slots.Load()
	if slots == nil || number >= int64(len(*slots)) {
		return nil
	}
	return (*slots)[number].Load()
}

// slot returns the place of a block, which it makes.
func (t *blockTable) slot(number int64) *atomic.Pointer[block] {
	slots := t.slots.Load()
	if slots == nil || number >= int64(len(*slots)) {
		grown := make([]atomic.Pointer[block], max(2*number, 64))
		if slots != nil {
			for i := range *slots {
				grown[i].Store((*slots)[i].Load())
			}
		}
		slots = &grown
		t.slots.Store(slots)
	}
	return &(*slots)[number]
}

// frame returns the frame at offset of g, of which the bytes before end can be
// read. It aliases a block, or memory of a where it lies in several.
func (c *blockCache) frame(g *segment, offset, end int64, a *arena) ([]byte, error) {
	within := offset % blockSize
	b, err := c.block(g, offset/blockSize, min(within+maxFramePrefix, blockSize), end)
	if err != nil {
		return nil, err
	}
	data := b.data[min(within, int64(len(b.data))):]
	size, err := frameSize(data)
	if err == nil && size <= int64(len(data)) {
		return data[:size:size], nil
	}
	return c.long(g, offset, end, a)
}

// long is frame for one that does not lie in what is there of its block.
func (c *blockCache) long(g *segment, offset, end int64, a *arena) ([]byte, error) {
	var prefix [maxFramePrefix]byte
	head := prefix[:max(0, min(maxFramePrefix, end-offset))]
	if err := c.read(g, offset, end, head); err != nil {
		return nil, err
	}
	size, err := frameSize(head)
	if err != nil {
		return nil, err
	}
	if size > end-offset {
		return nil, errFrame
	}
	b := a.take(int(size))
	return b, c.read(g, offset, end, b)
}

// read fills dst with the bytes of g from offset on, all of them before end.
func (c *blockCache) read(g *segment, offset, end int64, dst []byte) error {
	if offset+int64(len(dst)) > end {
		return errShort
	}
	if len(dst) > 4*blockSize {
		return readFull(g, dst, offset)
	}
	for len(dst) > 0 {
		within := offset % blockSize
		n := min(int64(len(dst)), blockSize-within)
		b, err := c.block(g, offset/blockSize, within+n, end)
		if err != nil {
			return err
		}
		copy(dst[:n], b.data[within:])
		dst, offset = dst[n:], offset+n
	}
	return nil
}

// block returns a block of g with its first need bytes, or all there are before end.
func (c *blockCache) block(g *segment, number, need, end int64) (*block, error) {
	start := number * blockSize
	need = min(need, end-start)
	if b := g.blocks.load(number); b != nil && int64(len(b.data)) >= need {
		if !b.used.Load() {
			b.used.Store(true)
		}
		return b, nil
	}
	size := min(blockSize, end-start)
	if size <= 0 {
		return nil, errShort
	}
	b := &block{table: &g.blocks, number: number, data: make([]byte, size)}
	if err := readFull(g, b.data, start); err != nil {
		return nil, err
	}
	c.put(b)
	return b, nil
}

// put puts b in its table, instead of one that has been used longest ago if
// the cache is full.
func (c *blockCache) put(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot := b.table.slot(b.number)
	switch old := slot.Load(); {
	case old != nil && len(old.data) >= len(b.data):
		return
	case old != nil:
		b.slot = old.slot
	case len(c.ring) < c.limit:
		b.slot = len(c.ring)
		c.ring = append(c.ring, b)
	default:
		for c.ring[c.hand].used.Swap(false) {
			c.hand = (c.hand + 1) % len(c.ring)
		}
		dropped := c.ring[c.hand]
		dropped.table.slot(dropped.number).Store(nil)
		b.slot = c.hand
		c.hand = (c.hand + 1) % len(c.ring)
	}
	c.ring[b.slot] = b
	slot.Store(b)
}

// readFull fills dst from offset of g; errShort if the file ends before.
func readFull(g *segment, dst []byte, offset int64) error {
	n, err := g.file.ReadAt(dst, offset)
	switch {
	case n == len(dst):
		return nil
	case err == nil || isEOF(err) || err == io.ErrUnexpectedEOF:
		return errShort
	}
	return err
}

// arena hands out memory that is never used again, in chunks that grow with use.
type arena struct {
	free []byte
	next int // size of the next chunk
}

func (a *arena) take(n int) []byte {
	if n > len(a.free) {
		a.next = min(max(2*a.next, 512), 64<<10)
		a.free = make([]byte, max(n, a.next))
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	return b
}
