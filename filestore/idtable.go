package filestore

import "github.com/annals-db/annals/driver"

// idTable finds positions by words of IDs. Its zero value is ready.
type idTable struct {
	slots []idSlot // a power of two, at most half of them in use
	used  int
}

type idSlot struct {
	word uint64
	at   driver.Position // 0 if the slot is free
}

// slot returns the slot of word, or the free one where it would be.
func (t *idTable) slot(word uint64) *idSlot {
	mask := uint64(len(t.slots) - 1)
	for i := (word * 0x9E3779B97F4A7C15) >> 32; ; i++ {
		if s := &t.slots[i&mask]; s.at == 0 || s.word == word {
			return s
		}
	}
}

// put notes that word was last seen at p.
func (t *idTable) put(word uint64, p driver.Position) {
	if 2*t.used >= len(t.slots) {
		t.grow()
	}
	s := t.slot(word)
	if s.at == 0 {
		t.used++
	}
	*s = idSlot{word, p}
}

func (t *idTable) grow() {
	old := t.slots
	t.slots = make([]idSlot, max(1024, 2*len(old)))
	for _, s := range old {
		if s.at != 0 {
			*t.slot(s.word) = s
		}
	}
}

// get returns where word was last seen, 0 if nowhere.
func (t *idTable) get(word uint64) driver.Position {
	if t.used == 0 {
		return 0
	}
	return t.slot(word).at
}

// clear forgets everything and keeps the memory.
func (t *idTable) clear() {
	clear(t.slots)
	t.used = 0
}

// ordered returns the time-ordered part of an ID that is a UUID of version 7.
// Of two such IDs the one made later is nearly always the greater, so an ID
// greater than every one in the log needs not be looked for.
func ordered(id driver.ID) (driver.ID, bool) { return id, id[6]>>4 == 7 }

// newer makes newest id if that is time-ordered and greater.
func newer(newest *driver.ID, id driver.ID) {
	if id, ok := ordered(id); ok && greater(id, *newest) {
		*newest = id
	}
}

// greater reports whether a is a greater ID than b.
func greater(a, b driver.ID) bool { return string(a[:]) > string(b[:]) }
