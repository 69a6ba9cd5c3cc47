package annals

import (
	"container/list"
	"context"
	"sync"
)

// cache keeps the states that were loaded or folded lately. A state in it is
// private to it: it is only ever folded from the log, and handed out as a
// copy. So what a caller does to its object can never be seen by another.
type cache struct {
	max int

	mu      sync.Mutex
	entries map[cacheKey]*list.Element // of *cacheEntry
	recent  list.List                  // most recently used first
}

type cacheKey struct {
	model  any
	source string
}

type cacheEntry struct {
	key   cacheKey
	mu    sync.Mutex
	state any // *state[S], nil until first loaded
}

func newCache(max int) *cache {
	return &cache{max: max, entries: map[cacheKey]*list.Element{}}
}

// entry returns the entry of key, which it makes.
func (c *cache) entry(key cacheKey) *cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		c.recent.MoveToFront(el)
		return el.Value.(*cacheEntry)
	}
	e := &cacheEntry{key: key}
	c.entries[key] = c.recent.PushFront(e)
	for c.recent.Len() > c.max {
		last := c.recent.Back()
		delete(c.entries, last.Value.(*cacheEntry).key)
		c.recent.Remove(last)
	}
	return e
}

// drop forgets e.
func (c *cache) drop(e *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[e.key]; el != nil && el.Value == any(e) {
		c.recent.Remove(el)
		delete(c.entries, e.key)
	}
}

// cached returns a copy of the state of src at pin from the cache, which it
// catches up; false if the cache cannot serve it.
func (m *Model[S]) cached(ctx context.Context, db *DB, src source, pin Position, extend func(Position) error) (state[S], bool, error) {
	if m.clone == nil || db.opts.CacheEntities < 0 {
		return state[S]{}, false, nil
	}
	e := db.cache.entry(cacheKey{m, src.key()})
	e.mu.Lock()
	defer e.mu.Unlock()
	st, _ := e.state.(*state[S])
	if st != nil && st.scanned > pin {
		if extend == nil {
			return state[S]{}, false, nil // a view of the past
		}
		if err := extend(st.scanned); err != nil {
			return state[S]{}, false, err
		}
		pin = st.scanned
	}
	sound := false
	defer func() {
		if !sound { // half folded: an error, or a handler that panicked
			e.state = nil
			db.cache.drop(e)
		}
	}()
	if st == nil {
		fresh := m.snapshot(ctx, db, src.stream, pin)
		st = &fresh
	}
	if src.stream != "" && st.version > 0 && st.scanned < pin && db.standsAt(ctx, src.stream, st.version) {
		st.scanned = pin
	}
	if err := m.catchUp(ctx, db, src, st, pin); err != nil {
		return state[S]{}, false, err
	}
	if st.version == 0 && src.stream != "" {
		return *st, true, nil // absence is not kept
	}
	e.state, sound = st, true
	return state[S]{s: m.clone(st.s), version: st.version, scanned: st.scanned}, true, nil
}

// standsAt reports whether stream is known to be at version, without reading.
func (db *DB) standsAt(ctx context.Context, stream string, version uint64) bool {
	if db.versions == nil {
		return false
	}
	now, err := db.versions.StreamVersion(ctx, stream)
	return err == nil && now == version
}

// advance takes what a transaction has just appended to t's stream into the
// cache, so that it need not be read back. It is folded into the cache's own
// state from the encoded events, as catching up would.
func (m *Model[S]) advance(t *tracked[S], last Position) {
	db := t.db
	if len(t.recorded) == 0 || m.clone == nil || db.opts.CacheEntities < 0 {
		return
	}
	e := db.cache.entry(cacheKey{m, t.stream})
	if !e.mu.TryLock() {
		return // somebody is catching up, and finds it in the log
	}
	defer e.mu.Unlock()
	st, _ := e.state.(*state[S])
	if st == nil || st.version != t.base || st.scanned >= last {
		return
	}
	e.state = nil // if a handler panics
	for _, p := range t.recorded {
		own := *p
		if h := m.handlers[p.et.typ]; !h.flat {
			own.ptr = h.new()
			if db.decode(&p.event, p.et, own.ptr) != nil {
				return
			}
		}
		m.applyPending(st.s, &own)
		st.version++
	}
	st.scanned = last
	e.state = st
}
