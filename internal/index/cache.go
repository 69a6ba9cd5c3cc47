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
	files   atomic.Uint64
	shards  [16]cacheShard
}

// NewCache returns a cache of at most about that many bytes. 64 MiB keeps
// every filter of 10 million records with 1 million streams, as many tags and
// random IDs.
func NewCache(bytes int64) *Cache {
	c := &Cache{bytes: bytes}
	for i := range c.shards {
		c.shards[i].pages = map[pageKey]*cached{}
	}
	return c
}

type pageKey struct {
	file uint64
	page uint32
}

type cached struct {
	key     pageKey
	content []byte
	used    bool
}

// cacheShard evicts by the clock: the hand passes over what was used since it
// last came by.
type cacheShard struct {
	mu    sync.Mutex
	pages map[pageKey]*cached
	ring  []*cached
	hand  int
}

// page returns the content of a page, reading it if it is not kept.
func (c *Cache) page(p *pages, page uint32) ([]byte, error) {
	key := pageKey{p.file, page}
	s := &c.shards[(uint64(page)+p.file*7)%uint64(len(c.shards))]
	s.mu.Lock()
	if e, ok := s.pages[key]; ok {
		e.used = true
		s.mu.Unlock()
		return e.content, nil
	}
	s.mu.Unlock()
	content, err := p.read(page)
	if err != nil {
		return nil, err
	}
	room := int((c.bytes - c.filters.Load()) / pageSize / int64(len(c.shards)))
	s.add(&cached{key: key, content: content}, max(room, 1))
	return content, nil
}

// add keeps e, evicting what is over room pages.
func (s *cacheShard) add(e *cached, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pages[e.key]; ok {
		return
	}
	for len(s.ring) >= room {
		s.hand %= len(s.ring)
		if old := s.ring[s.hand]; old.used {
			old.used = false
			s.hand++
			continue
		}
		s.remove(s.hand)
	}
	s.pages[e.key] = e
	s.ring = append(s.ring, e)
}

func (s *cacheShard) remove(i int) {
	delete(s.pages, s.ring[i].key)
	last := len(s.ring) - 1
	s.ring[i], s.ring[last] = s.ring[last], nil
	s.ring = s.ring[:last]
}

// reserve takes room for a filter of that many bytes, if there is.
func (c *Cache) reserve(bytes int64) bool {
	if c.filters.Add(bytes) > c.bytes/4*3 {
		c.filters.Add(-bytes)
		return false
	}
	return true
}

// release forgets the pages of a file and gives back the room of its filters.
func (c *Cache) release(file uint64, filters int64) {
	c.filters.Add(-filters)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for j := len(s.ring) - 1; j >= 0; j-- {
			if s.ring[j].key.file == file {
				s.remove(j)
			}
		}
		s.mu.Unlock()
	}
}

// size is the bytes kept.
func (c *Cache) size() int64 {
	total := c.filters.Load()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.ring {
			total += int64(len(e.content))
		}
		s.mu.Unlock()
	}
	return total
}
