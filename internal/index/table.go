package index

import (
	"hash/maphash"
	"sync/atomic"
)

// table is a hash table from 32-bit hashes to numbers, open addressed, that
// one goroutine inserts into while others look up. Equal hashes may occur.
type table struct {
	slots atomic.Pointer[[]uint64] // hash<<32 | number+1, 0 if free; written atomically once shared
	n     int                      // the writer's
}

// insert adds number under hash.
func (t *table) insert(hash, number uint32) {
	slots := t.slots.Load()
	if slots == nil || t.n*4 >= len(*slots)*3 {
		slots = t.rehash()
	}
	i := free(*slots, hash)
	atomic.StoreUint64(&(*slots)[i], uint64(hash)<<32|uint64(number+1))
	t.n++
}

// rehash doubles the table. Readers go on in the old one, which lacks only
// what is inserted later.
func (t *table) rehash() *[]uint64 {
	old := t.slots.Load()
	if old == nil {
		old = new([]uint64)
	}
	slots := make([]uint64, max(64, len(*old)*2))
	for _, s := range *old {
		if s != 0 {
			slots[free(slots, uint32(s>>32))] = s
		}
	}
	t.slots.Store(&slots)
	return &slots
}

// free returns the slot where hash may be inserted. It is for the writer, who
// may read slots plainly.
func free(slots []uint64, hash uint32) uint32 {
	mask := uint32(len(slots) - 1)
	i := hash & mask
	for slots[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

// look begins a walk over the numbers under hash.
func (t *table) look(hash uint32) probe {
	slots := t.slots.Load()
	if slots == nil {
		return probe{}
	}
	return probe{*slots, hash, hash & uint32(len(*slots)-1)}
}

// probe walks over the numbers under one hash.
type probe struct {
	slots   []uint64
	hash, i uint32
}

// next returns the next number, ok false if there is none.
func (p *probe) next() (number uint32, ok bool) {
	if p.slots == nil {
		return 0, false
	}
	for {
		s := atomic.LoadUint64(&p.slots[p.i])
		if s == 0 {
			return 0, false
		}
		p.i = (p.i + 1) & uint32(len(p.slots)-1)
		if uint32(s>>32) == p.hash {
			return uint32(s) - 1, true
		}
	}
}

// names numbers names from 0 in the order they first appear, and keeps for
// each the head of the chain of its postings.
type names struct {
	seed  maphash.Seed
	table table
	keys  column[key]
	texts arena
}

// key is a name.
type key struct {
	text     text
	category uint32        // of a stream: its category's number + 1, 0 if its name has no dash
	postings atomic.Uint64 // how many it has << 32 | the last one + 1
}

// find returns the number of name.
func (d *names) find(name string) (number uint32, ok bool) {
	return d.lookup(name, uint32(maphash.String(d.seed, name)))
}

func (d *names) lookup(name string, hash uint32) (number uint32, ok bool) {
	for p := d.table.look(hash); ; {
		number, ok = p.next()
		if !ok || d.texts.at(d.keys.at(number).text) == name {
			return number, ok
		}
	}
}

// intern returns the number of name and its key, which is new if added.
func (d *names) intern(name string) (number uint32, k *key, added bool) {
	hash := uint32(maphash.String(d.seed, name))
	if number, ok := d.lookup(name, hash); ok {
		return number, d.keys.at(number), false
	}
	k, number = d.keys.grow()
	k.text = d.texts.add(name)
	d.table.insert(hash, number)
	return number, k, true
}

// name returns the name with that number.
func (d *names) name(number uint32) string { return d.texts.at(d.keys.at(number).text) }

// last is the last posting of k + 1, 0 if it has none.
func (k *key) last() uint32 { return uint32(k.postings.Load()) }

// count is the number of k's postings.
func (k *key) count() uint32 { return uint32(k.postings.Load() >> 32) }

// advance makes posting the last of k. What was the last before is kept with
// the posting first, so that readers who find it find the rest of the chain.
func (k *key) advance(posting uint32) {
	k.postings.Store(uint64(k.count()+1)<<32 | uint64(posting+1))
}
