package filestore

import (
	"io"
	"sync"
)

// blockCache keeps blocks of segment files that single records were read from.
// Bytes are copied out, so a record that is kept does not keep its block.
// What has been written to a segment never changes, so nothing here ever goes
// stale; the last block of the active segment grows.
type blockCache struct {
	shards [16]blockShard
	pool   sync.Pool // *[]byte of blockSize
}

const blockSize = 8 << 10

type blockShard struct {
	mu     sync.Mutex
	where  map[blockKey]int
	blocks []block
	limit  int
	hand   int // of the clock that chooses what to drop
}

// blockKey is the number of a segment and, in the lower half, of a block in it.
type blockKey uint64

// keyOf returns the key of the block of g that holds offset.
func keyOf(g *segment, offset int64) blockKey {
	return blockKey(g.number<<32 | uint64(offset/blockSize))
}

// start is the offset in the segment at which the block begins.
func (k blockKey) start() int64 { return int64(k&0xFFFFFFFF) * blockSize }

type block struct {
	key  blockKey
	data []byte // up to blockSize bytes
	used bool   // since the hand last passed
}

func newBlockCache(bytes int64) *blockCache {
	c := &blockCache{}
	c.pool.New = func() any { b := make([]byte, blockSize); return &b }
	for i := range c.shards {
		c.shards[i].limit = max(2, int(bytes/blockSize)/len(c.shards))
		c.shards[i].where = map[blockKey]int{}
	}
	return c
}

func (c *blockCache) shard(k blockKey) *blockShard {
	return &c.shards[(k^k>>32*7)%blockKey(len(c.shards))]
}

// frame returns a copy, in a's memory, of the frame at offset of g, of which
// the bytes before end can be read.
func (c *blockCache) frame(g *segment, offset, end int64, a *arena) ([]byte, error) {
	k := keyOf(g, offset)
	if b, ok := c.shard(k).frame(k, int(offset%blockSize), a); ok {
		return b, nil
	}
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

// frame copies the frame at offset of block k if all of it is there.
func (s *blockShard) frame(k blockKey, offset int, a *arena) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.where[k]
	if !ok || offset >= len(s.blocks[i].data) {
		return nil, false
	}
	s.blocks[i].used = true
	data := s.blocks[i].data[offset:]
	size, err := frameSize(data)
	if err != nil || size > int64(len(data)) {
		return nil, false
	}
	b := a.take(int(size))
	copy(b, data)
	return b, true
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
		k := keyOf(g, offset)
		within := int(offset % blockSize)
		n := min(len(dst), blockSize-within)
		if !c.shard(k).copy(k, within, dst[:n]) {
			if err := c.load(g, k, end, within, dst[:n]); err != nil {
				return err
			}
		}
		dst, offset = dst[n:], offset+int64(n)
	}
	return nil
}

func (s *blockShard) copy(k blockKey, within int, dst []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.where[k]
	if !ok || within+len(dst) > len(s.blocks[i].data) {
		return false
	}
	s.blocks[i].used = true
	copy(dst, s.blocks[i].data[within:])
	return true
}

// load reads block k into the cache and copies a part of it to dst.
func (c *blockCache) load(g *segment, k blockKey, end int64, within int, dst []byte) error {
	buf := c.pool.Get().(*[]byte)
	start := k.start()
	data := (*buf)[:min(blockSize, end-start)]
	if err := readFull(g, data, start); err != nil {
		c.pool.Put(buf)
		return err
	}
	copy(dst, data[within:])
	if old := c.shard(k).put(k, data); old != nil {
		old = old[:blockSize]
		c.pool.Put(&old)
	}
	return nil
}

// put keeps data as block k and returns the memory of the block it displaces,
// nil if there is none.
func (s *blockShard) put(k blockKey, data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.where[k]; ok {
		old := s.blocks[i].data
		if len(old) >= len(data) {
			return data
		}
		s.blocks[i].data = data
		return old
	}
	if len(s.blocks) < s.limit {
		s.where[k] = len(s.blocks)
		s.blocks = append(s.blocks, block{key: k, data: data})
		return nil
	}
	for s.blocks[s.hand].used {
		s.blocks[s.hand].used = false
		s.hand = (s.hand + 1) % len(s.blocks)
	}
	b := &s.blocks[s.hand]
	old := b.data
	delete(s.where, b.key)
	s.where[k] = s.hand
	*b = block{key: k, data: data}
	s.hand = (s.hand + 1) % len(s.blocks)
	return old
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
