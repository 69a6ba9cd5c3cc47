package memstore

import (
	"iter"
	"slices"

	"github.com/annals-db/annals/driver"
)

// list is positions, rising. Lists only grow, so a copy of one stays good.
type list []driver.Position

// index finds records by their names.
type index struct {
	ids        map[driver.ID]driver.Position
	streams    map[string]list
	categories map[string]list
	types      map[string]list
	tags       map[string]list
}

func newIndex() index {
	return index{
		ids:        map[driver.ID]driver.Position{},
		streams:    map[string]list{},
		categories: map[string]list{},
		types:      map[string]list{},
		tags:       map[string]list{},
	}
}

// add takes in the next record and returns its version.
func (x *index) add(r *driver.Record) uint64 {
	x.ids[r.ID] = r.Position
	x.types[r.Type] = append(x.types[r.Type], r.Position)
	for _, t := range r.Tags {
		x.tags[t] = append(x.tags[t], r.Position)
	}
	if r.Stream == "" {
		return 0
	}
	category := driver.Category(r.Stream)
	x.categories[category] = append(x.categories[category], r.Position)
	x.streams[r.Stream] = append(x.streams[r.Stream], r.Position)
	return uint64(len(x.streams[r.Stream]))
}

// candidates returns the positions in (after, upTo] that q may match, a
// superset of those it does, in order, each once. It is to be called under the
// store's lock; what it returns may be ranged over without.
func (x *index) candidates(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq[driver.Position] {
	var lists []list
	for i := range q.Items {
		l, ok := x.lists(&q.Items[i])
		if !ok {
			return all(after, upTo, backward)
		}
		lists = append(lists, l...)
	}
	if q.All() {
		return all(after, upTo, backward)
	}
	for i, l := range lists {
		lists[i] = between(l, after, upTo)
	}
	return merged(lists, backward)
}

// lists returns the lists whose union holds all that i matches, the shortest
// that there are; not ok if i names nothing that is indexed.
func (x *index) lists(i *driver.Item) (best []list, ok bool) {
	consider := func(lists ...list) {
		if !ok || length(lists) < length(best) {
			best, ok = lists, true
		}
	}
	for _, t := range i.Tags {
		consider(x.tags[t])
	}
	if len(i.Streams) > 0 {
		consider(each(x.streams, i.Streams)...)
	}
	if len(i.Types) > 0 {
		consider(each(x.types, i.Types)...)
	}
	if i.Category != "" {
		consider(x.categories[i.Category])
	}
	if len(i.IDs) > 0 {
		var found []list
		for _, id := range i.IDs {
			if p, ok := x.ids[id]; ok {
				found = append(found, list{p})
			}
		}
		consider(found...)
	}
	return best, ok
}

func each(m map[string]list, names []string) []list {
	out := make([]list, len(names))
	for i, n := range names {
		out[i] = m[n]
	}
	return out
}

func length(lists []list) int {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	return n
}

// between returns the part of l in (after, upTo].
func between(l list, after, upTo driver.Position) list {
	from, _ := slices.BinarySearch(l, after+1)
	to, _ := slices.BinarySearch(l, upTo+1)
	return l[from:max(from, to)]
}

// all yields every position in (after, upTo].
func all(after, upTo driver.Position, backward bool) iter.Seq[driver.Position] {
	return func(yield func(driver.Position) bool) {
		if backward {
			for p := upTo; p > after && yield(p); p-- {
			}
			return
		}
		for p := after + 1; p <= upTo && yield(p); p++ {
		}
	}
}

// merged yields the union of lists.
func merged(lists []list, backward bool) iter.Seq[driver.Position] {
	var union list
	switch len(lists) {
	case 0:
	case 1:
		union = lists[0]
	default:
		union = slices.Concat(lists...)
		slices.Sort(union)
		union = slices.Compact(union)
	}
	return func(yield func(driver.Position) bool) {
		if backward {
			for i := len(union); i > 0 && yield(union[i-1]); i-- {
			}
			return
		}
		for i := 0; i < len(union) && yield(union[i]); i++ {
		}
	}
}
