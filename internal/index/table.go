package index

import (
	"hash/maphash"
	"sync/atomic"
)

// table is a hash table from 32-bit hashes to numbers, open addressed, that
// one goroutine inserts into while others look up. Equal hashes may occur.
type table struct {
	slots atomic.Pointer[[]atomic.Uint64] // hash<<32 | number+1, 0 if free
	n     int                             // the writer's
}

// insert adds number under hash.
func (t *table) insert(hash, number uint32) {
	slots := t.slots.Load()
	if slots == nil || t.n*4 >= len(*slots)*3 {
		slots = t.rehash()
	}
	place(*slots, uint64(hash)<<32|uint64(number+1))
	t.n++
}

// rehash doubles the table. Readers go on in the old one, which lacks only
// what is inserted later.
func (t *table) rehash() *[]atomic.Uint64 {
	old := t.slots.Load()
	if old == nil {
		old = new([]atomic.Uint64)
	}
	slots := make([]atomic.Uint64, max(64, len(*old)*2))
	for i := range *old {
		if s := (*old)[i].Load(); s != 0 {
			place(slots, s)
		}
	}
	t.slots.Store(&slots)
	return &slots
}

func place(slots []atomic.Uint64, s uint64) {
	mask := uint32(len(slots) - 1)
	i := uint32(s>>32) & mask
	for slots[i].Load() != 0 {
		i = (i + 1) & mask
	}
	slots[i].Store(s)
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
	slots   []atomic.Uint64
	hash, i uint32
}

// next returns the next number, ok false if there is none.
func (p *probe) next() (number uint32, ok bool) {
	if p.slots == nil {
		return 0, false
	}
	for {
		s := p.slots[p.i].Load()
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
	last     atomic.Uint32 // its last posting + 1, 0 if none
	count    atomic.Uint32 // of its postings
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

// advance makes posting the last of k. What was the last before is kept with
// the posting first, so that readers who find it find the rest of the chain.
func (k *key) advance(posting uint32) {
	k.last.Store(posting + 1)
	k.count.Store(k.count.Load() + 1)
}
