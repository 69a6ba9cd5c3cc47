package index

import "slices"

type chainKind uint8

const (
	byStream chainKind = iota
	byType
	byCategory
	byTag
)

// chain walks over the records of one name in a [Mem], from the last to the first.
type chain struct {
	m     *Mem
	kind  chainKind
	at    uint32 // the next posting + 1, 0 at the end
	count uint32 // postings, those not yet seen by readers included
}

// chainOf returns the chain of the name with that number.
func (m *Mem) chainOf(kind chainKind, number uint32) chain {
	d := [...]*names{byStream: &m.streams, byType: &m.types, byCategory: &m.category, byTag: &m.tags}[kind]
	k := d.keys.at(number)
	return chain{m, kind, k.last(), k.count()}
}

// next returns the next lower ordinal below bound, ok false at the chain's end.
func (c *chain) next(bound uint32) (ordinal uint32, ok bool) {
	for c.at != 0 {
		// Only the chain's own field of a row may be read before the row is published.
		ordinal = c.at - 1
		switch c.kind {
		case byStream:
			c.at = c.m.rows.at(ordinal).prevStream
		case byType:
			c.at = c.m.rows.at(ordinal).prevType
		case byCategory:
			c.at = c.m.rows.at(ordinal).prevCategory
		case byTag:
			p := c.m.tagged.at(ordinal)
			ordinal, c.at = p.ordinal, p.prev
		}
		if ordinal < bound {
			return ordinal, true
		}
	}
	return 0, false
}

// merged walks over the ordinals in [low, high] of several chains, and over
// those of others, in order and each once.
func merged(chains []chain, others []uint32, low, high int64, backward bool) stepper {
	if backward && len(others) == 0 && len(chains) > 0 && len(chains) <= 8 {
		return newDescent(chains, low, high)
	}
	total := int64(len(others))
	for _, c := range chains {
		total += int64(c.count)
	}
	all := slices.Grow(others, int(min(total, high-low+1)))
	for i := range chains {
		for {
			o, ok := chains[i].next(uint32(high + 1))
			if !ok || int64(o) < low {
				break
			}
			all = append(all, o)
		}
	}
	if len(chains) == 1 && len(others) == 0 {
		slices.Reverse(all) // a chain goes downwards
	} else {
		slices.Sort(all)
		all = slices.Compact(all)
	}
	return listed(all, backward)
}

// stepper returns the next ordinal, ok false at the end.
type stepper func() (ordinal int64, ok bool)

// newDescent merges a few chains from the highest ordinal down, lazily.
func newDescent(chains []chain, low, high int64) stepper {
	heads := make([]int64, len(chains))
	advance := func(i int, bound int64) {
		heads[i] = -1
		if o, ok := chains[i].next(uint32(bound)); ok && int64(o) >= low {
			heads[i] = int64(o)
		}
	}
	for i := range chains {
		advance(i, high+1)
	}
	return func() (int64, bool) {
		top := slices.Max(heads)
		if top < 0 {
			return 0, false
		}
		for i, h := range heads {
			if h == top {
				advance(i, top)
			}
		}
		return top, true
	}
}
