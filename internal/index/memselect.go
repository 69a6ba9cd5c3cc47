package index

import (
	"iter"
	"slices"

	"github.com/annals-db/annals/driver"
)

// Select yields the records that match q with positions in (after, upTo], in
// order of position, from the highest down if backward. It sees the index as
// it is when ranging begins.
func (m *Mem) Select(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		low, high, ok := ordinals(m.first, m.n.Load(), after, upTo)
		if !ok {
			return
		}
		items, all := m.resolveAll(q)
		if len(items) == 0 && !all {
			return
		}
		next, exact := m.candidates(items, all, low, high, backward)
		for {
			ordinal, ok := next()
			if !ok {
				return
			}
			if !exact && !anyMatches(items, uint32(ordinal)) {
				continue
			}
			if !yield(m.hit(uint32(ordinal)), nil) {
				return
			}
		}
	}
}

func anyMatches(items []criteria, ordinal uint32) bool {
	for i := range items {
		if items[i].matches(ordinal) {
			return true
		}
	}
	return false
}

// ordinals returns the ordinals of the positions in (after, upTo] of a segment
// of n records; ok is false if there are none.
func ordinals(first driver.Position, n uint32, after, upTo driver.Position) (low, high int64, ok bool) {
	begin, end := max(after+1, first), min(upTo, first+driver.Position(n)-1)
	if n == 0 || after == ^driver.Position(0) || begin > end {
		return 0, 0, false
	}
	return int64(begin - first), int64(end - first), true
}

// criteria are an item of a query with its names resolved.
type criteria struct {
	m       *Mem
	types   []uint32 // sorted; nil for any
	tags    []uint32
	streams []uint32 // row.stream, sorted; nil for any
	ids     map[driver.ID]struct{}
	// With hasCategory, category is what key.category of a stream must be, or
	// bare what row.stream must be; 0 matches none.
	hasCategory    bool
	category, bare uint32
	chains         []chain // of which the records that match are a part; nil for all records
}

// resolveAll resolves q's items, leaving out those that no record can match. all
// says that one matches every record.
func (m *Mem) resolveAll(q driver.Query) (items []criteria, all bool) {
	if q.All() {
		return nil, true
	}
	for i := range q.Items {
		f, ok := m.resolve(&q.Items[i])
		if ok {
			items = append(items, f)
		}
	}
	return items, false
}

func (m *Mem) resolve(i *driver.Item) (f criteria, ok bool) {
	f = criteria{m: m, hasCategory: i.Category != ""}
	if len(i.IDs) > 0 {
		f.ids = make(map[driver.ID]struct{}, len(i.IDs))
		for _, id := range i.IDs {
			f.ids[id] = struct{}{}
		}
	}
	best := ^uint64(0)
	offer := func(chains ...chain) {
		total := uint64(0)
		for _, c := range chains {
			total += uint64(c.count)
		}
		if total < best {
			best, f.chains = total, chains
		}
	}
	for _, t := range i.Tags {
		number, ok := m.tags.find(t)
		if !ok {
			return f, false
		}
		f.tags = append(f.tags, number)
		offer(m.chainOf(byTag, number))
	}
	if len(i.Streams) > 0 {
		numbers, chains := m.known(byStream, &m.streams, i.Streams)
		if len(chains) == 0 {
			return f, false
		}
		for n := range numbers {
			numbers[n]++
		}
		f.streams = numbers
		offer(chains...)
	}
	if len(i.Types) > 0 {
		numbers, chains := m.known(byType, &m.types, i.Types)
		if len(chains) == 0 {
			return f, false
		}
		f.types = numbers
		offer(chains...)
	}
	if f.hasCategory {
		chains := f.resolveCategory(i.Category)
		if len(chains) == 0 {
			return f, false
		}
		offer(chains...)
	}
	return f, true
}

// known returns the numbers of those of the names that are known, sorted, and their chains.
func (m *Mem) known(kind chainKind, d *names, wanted []string) (numbers []uint32, chains []chain) {
	for _, name := range wanted {
		if number, ok := d.find(name); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	for _, number := range numbers {
		chains = append(chains, m.chainOf(kind, number))
	}
	return numbers, chains
}

// resolveCategory sets category and bare: a category is the streams that begin
// with it and a dash, and the one named just so.
func (f *criteria) resolveCategory(category string) (chains []chain) {
	if number, ok := f.m.category.find(category); ok {
		f.category = number + 1
		chains = append(chains, f.m.chainOf(byCategory, number))
	}
	if number, ok := f.m.streams.find(category); ok && driver.Category(category) == category {
		f.bare = number + 1
		chains = append(chains, f.m.chainOf(byStream, number))
	}
	return chains
}

// matches reports whether the record with that ordinal is one of the criteria.
func (f *criteria) matches(ordinal uint32) bool {
	r := f.m.rows.at(ordinal)
	if f.types != nil && !contains(f.types, r.typ) || f.streams != nil && !contains(f.streams, r.stream) {
		return false
	}
	if f.hasCategory && !f.inCategory(r.stream) {
		return false
	}
	for _, t := range f.tags {
		if !f.m.hasTag(ordinal, t) {
			return false
		}
	}
	if f.ids == nil {
		return true
	}
	_, ok := f.ids[r.id]
	return ok
}

func (f *criteria) inCategory(stream uint32) bool {
	if stream == 0 {
		return false
	}
	return f.bare == stream || f.category != 0 && f.m.streams.keys.at(stream-1).category == f.category
}

func contains(sorted []uint32, v uint32) bool {
	if len(sorted) <= 8 {
		return slices.Contains(sorted, v)
	}
	_, ok := slices.BinarySearch(sorted, v)
	return ok
}

// candidates returns a walk over the ordinals in [low, high], of which every
// one that matches an item is one: by the rarest chains of each item, or over
// all of them where that is less work. exact says that each is a match.
func (m *Mem) candidates(items []criteria, all bool, low, high int64, backward bool) (next stepper, exact bool) {
	var chains []chain
	var found []uint32
	exact = true
	for i := range items {
		f := &items[i]
		exact = exact && f.chainsOnly()
		switch {
		case len(f.ids) > 0:
			found = append(found, m.withIDs(f.ids, low, high)...)
		case f.chains == nil:
			all = true
		default:
			chains = append(chains, f.chains...)
		}
	}
	total := int64(0)
	for _, c := range chains {
		total += int64(c.count)
	}
	if all || total > 0 && total*2 >= high-low {
		return span(low, high, backward), len(items) == 0
	}
	return merged(chains, found, low, high, backward), exact
}

// chainsOnly reports whether the records of the chains are just those that match.
func (f *criteria) chainsOnly() bool {
	asked := 0
	for _, one := range [...]bool{f.types != nil, f.streams != nil, f.hasCategory, len(f.tags) > 0} {
		if one {
			asked++
		}
	}
	return asked == 1 && len(f.tags) <= 1 && len(f.ids) == 0 && f.chains != nil
}

// withIDs returns the ordinals in [low, high] of the records with these IDs.
func (m *Mem) withIDs(ids map[driver.ID]struct{}, low, high int64) (found []uint32) {
	for id := range ids {
		for p := m.ids.look(m.hashID(&id)); ; {
			o, ok := p.next()
			if !ok {
				break
			}
			if int64(o) >= low && int64(o) <= high && m.rows.at(o).id == id {
				found = append(found, o)
			}
		}
	}
	return found
}

// span walks over all of [low, high].
func span(low, high int64, backward bool) stepper {
	at, step := low, int64(1)
	if backward {
		at, step = high, -1
	}
	return func() (int64, bool) {
		o := at
		at += step
		return o, o >= low && o <= high
	}
}

// listed walks over a sorted list.
func listed(ordinals []uint32, backward bool) stepper {
	if backward {
		slices.Reverse(ordinals)
	}
	return func() (int64, bool) {
		if len(ordinals) == 0 {
			return 0, false
		}
		o := ordinals[0]
		ordinals = ordinals[1:]
		return int64(o), true
	}
}
