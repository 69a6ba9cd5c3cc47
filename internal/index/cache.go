package index

import (
	"sync"
	"sync/atomic"
)

// Cache is memory that any number of [Sealed] share: checked pages of their
// files, and their filters whole, as long as these fit into three quarters of
// it; the filters of further files are read through the pages.
type Cache struct {
	bytes   int64
	filters atomic.Int64 // bytes of filters kept

	mu   sync.Mutex
	ring []*cached // the pages kept
	hand int
}

// cached is a page that is kept; its file points to it.
type cached struct {
	file    *pages
	page    uint32
	content []byte
	used    atomic.Bool // since the hand last came by
}

// NewCache returns a cache of at most about that many bytes. 64 MiB keeps
// every filter of 10 million records with 1 million streams, as many tags and
// random IDs.
func NewCache(bytes int64) *Cache { return &Cache{bytes: bytes} }

// add keeps e. It makes room by the clock: the hand passes over what was used
// since it last came by, and evicts what was not.
func (c *Cache) add(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot := &e.file.kept[e.page]
	if slot.Load() != nil {
		return
	}
	c.shrink(1)
	slot.Store(e)
	c.ring = append(c.ring, e)
}

// shrink evicts what leaves no room for that many pages more.
func (c *Cache) shrink(pages int) {
	room := max(int((c.bytes-c.filters.Load())/pageSize)-pages, 0)
	for len(c.ring) > room {
		c.hand %= len(c.ring)
		if old := c.ring[c.hand]; old.used.Swap(false) {
			c.hand++
			continue
		}
		c.evict(c.hand)
	}
}

func (c *Cache) evict(i int) {
	old := c.ring[i]
	old.file.kept[old.page].Store(nil)
	last := len(c.ring) - 1
	c.ring[i], c.ring[last] = c.ring[last], nil
	c.ring = c.ring[:last]
}

// reserve takes room for a filter of that many bytes, if there is.
func (c *Cache) reserve(bytes int64) bool {
	if c.filters.Add(bytes) > c.bytes/4*3 {
		c.filters.Add(-bytes)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrink(0)
	return true
}

// release forgets the pages of a file and gives back the room of its filters.
func (c *Cache) release(file *pages, filters int64) {
	c.filters.Add(-filters)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.ring) - 1; i >= 0; i-- {
		if c.ring[i].file == file {
			c.evict(i)
		}
	}
}

// size is the bytes kept.
func (c *Cache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := c.filters.Load()
	for _, e := range c.ring {
		total += int64(len(e.content))
	}
	return total
}
