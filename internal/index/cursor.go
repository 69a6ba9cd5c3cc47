package index

import (
	"cmp"
	"slices"
	"sort"
)

// cursor walks over a set of ordinals in one direction.
type cursor interface {
	// seek returns the first ordinal of the set at x or beyond, in the
	// cursor's direction; ok is false if there is none. From call to call x
	// does not go back.
	seek(x int64) (ordinal int64, ok bool, err error)
	// size is the number of ordinals, about.
	size() uint64
	// effort is the number of blocks that a seek may have to unpack.
	effort() int
}

// listCursor walks over a list.
type listCursor struct {
	list
	backward bool
	block    []uint32 // the current one; all of a short list
	number   uint64   // of the current block
}

func newListCursor(l list, backward bool) *listCursor {
	return &listCursor{list: l, backward: backward, block: l.short}
}

func (c *listCursor) size() uint64 { return c.count }

func (c *listCursor) effort() int {
	if c.short != nil {
		return 0
	}
	return 1
}

func (c *listCursor) seek(x int64) (int64, bool, error) {
	if o, ok := within(c.block, x, c.backward); ok || c.short != nil || x < 0 {
		return o, ok, nil
	}
	from := c.number
	if c.backward {
		from = 0
	}
	number, err := c.blockOf(x, from)
	if err != nil {
		return 0, false, err
	}
	for {
		if c.block, err = c.list.block(number, c.block); err != nil {
			return 0, false, err
		}
		c.number = number
		if o, ok := within(c.block, x, c.backward); ok {
			return o, true, nil
		}
		// Forwards x lies between this block and the next, backwards before the first.
		number++
		if c.backward || number == c.blocks() {
			return 0, false, nil
		}
	}
}

// within returns the first ordinal of a block at x or beyond, ok false if there is none.
func within(block []uint32, x int64, backward bool) (int64, bool) {
	i := sort.Search(len(block), func(i int) bool { return int64(block[i]) >= x })
	if backward && (i == len(block) || int64(block[i]) > x) {
		i--
	}
	if i < 0 || i == len(block) {
		return 0, false
	}
	return int64(block[i]), true
}

// ordinalList walks over a sorted list in memory.
type ordinalList struct {
	ordinals []uint32
	backward bool
}

func (c *ordinalList) size() uint64 { return uint64(len(c.ordinals)) }

func (c *ordinalList) effort() int { return 0 }

func (c *ordinalList) seek(x int64) (int64, bool, error) {
	o, ok := within(c.ordinals, x, c.backward)
	return o, ok, nil
}

// everything walks over all ordinals below n.
type everything struct{ n int64 }

func (c everything) size() uint64 { return uint64(c.n) }

func (c everything) effort() int { return 0 }

func (c everything) seek(x int64) (int64, bool, error) { return x, x >= 0 && x < c.n, nil }

// union walks over the ordinals of any of several cursors.
type union struct {
	backward bool
	parts    []part
	total    uint64
}

// part is a cursor and where it stands.
type part struct {
	cursor
	at      int64
	started bool
	ended   bool
}

// newUnion returns a cursor over any of several, nested so that a step takes
// the logarithm of their number.
func newUnion(cursors []cursor, backward bool) cursor {
	const fan = 8
	for len(cursors) > fan {
		var above []cursor
		for group := range slices.Chunk(cursors, fan) {
			above = append(above, newUnion(group, backward))
		}
		cursors = above
	}
	if len(cursors) == 1 {
		return cursors[0]
	}
	u := &union{backward: backward}
	for _, c := range cursors {
		u.parts = append(u.parts, part{cursor: c})
		u.total += c.size()
	}
	return u
}

func (u *union) size() uint64 { return u.total }

func (u *union) effort() (n int) {
	for i := range u.parts {
		n += u.parts[i].effort()
	}
	return n
}

func (u *union) seek(x int64) (best int64, found bool, err error) {
	for i := range u.parts {
		p := &u.parts[i]
		if p.ended {
			continue
		}
		if !p.started || before(p.at, x, u.backward) {
			var ok bool
			if p.at, ok, err = p.seek(x); err != nil {
				return 0, false, err
			}
			p.started, p.ended = true, !ok
			if !ok {
				continue
			}
		}
		if !found || before(p.at, best, u.backward) {
			best, found = p.at, true
		}
	}
	return best, found, nil
}

// before reports whether a comes before b.
func before(a, b int64, backward bool) bool {
	if backward {
		return a > b
	}
	return a < b
}

// intersection walks over the ordinals that all of several cursors have.
type intersection struct{ parts []cursor }

// newIntersection returns a cursor over the ordinals below n that all of
// several have, or over a few more: it leaves out a cursor that takes more
// effort than reading the records that it would have kept back.
func newIntersection(cursors []cursor, n uint64) cursor {
	slices.SortStableFunc(cursors, func(a, b cursor) int { return cmp.Compare(a.size(), b.size()) })
	kept := cursors[:1]
	for _, c := range cursors[1:] {
		// Reading a record is worth unpacking some 3 blocks.
		if saved := 3 * (1 - float64(c.size())/float64(n)); float64(c.effort()) <= saved {
			kept = append(kept, c)
		}
	}
	if len(kept) == 1 {
		return kept[0]
	}
	return &intersection{kept}
}

func (c *intersection) size() uint64 { return c.parts[0].size() }

func (c *intersection) effort() (n int) {
	for _, p := range c.parts {
		n += p.effort()
	}
	return n
}

func (c *intersection) seek(x int64) (int64, bool, error) {
	for agreed, i := 0, 0; agreed < len(c.parts); i = (i + 1) % len(c.parts) {
		o, ok, err := c.parts[i].seek(x)
		if err != nil || !ok {
			return 0, false, err
		}
		if o != x {
			x, agreed = o, 0
		}
		agreed++
	}
	return x, true, nil
}
