package sqlitestore

import (
	"slices"

	"github.com/annals-db/annals/driver"
)

// selection finds the positions that a query selects, by its keys alone.
type selection struct {
	items    []*selected
	after    driver.Position
	upTo     driver.Position
	backward bool
	from     driver.Position // what lies beyond it is still to be found
}

// selected is an item of the query: each of its terms must hold.
type selected struct {
	lead  term   // the one with the fewest records, which is walked over
	terms []term // the others, which are looked up
	ids   []driver.Position
	byID  bool
}

// term holds where any of its keys is.
type term []*list

func (t term) count() (n uint64) {
	for _, l := range t {
		n += l.count
	}
	return n
}

// finder returns what is known of a name, ok false if it is not there.
type finder func(k kind, name string) (postings, bool, error)

// choose makes the selection of q in (after, upTo] with what find knows of
// names. nothing is true if no record can match.
func (c *conn) choose(q driver.Query, o driver.ReadOptions, find finder) (s *selection, err error) {
	s = &selection{after: o.After, upTo: o.UpTo, backward: o.Backward, from: o.After}
	if o.Backward {
		s.from = o.UpTo + 1
	}
	for i := range q.Items {
		item, err := s.item(c, &q.Items[i], find)
		if err != nil {
			return nil, err
		}
		if item != nil {
			s.items = append(s.items, item)
		}
	}
	return s, nil
}

// item returns what finds i, nil if nothing can.
func (s *selection) item(c *conn, i *driver.Item, find finder) (*selected, error) {
	var terms []term
	for _, alternatives := range s.alternatives(i) {
		var t term
		for _, k := range alternatives {
			p, ok, err := find(k.kind, k.name)
			if err != nil {
				return nil, err
			}
			if ok && p.last > s.after {
				t = append(t, &list{postings: p, backward: s.backward})
			}
		}
		if len(t) == 0 {
			return nil, nil
		}
		terms = append(terms, t)
	}
	if len(i.IDs) > 0 {
		ids, err := s.positions(c, i.IDs)
		return &selected{terms: terms, ids: ids, byID: true}, err
	}
	best := 0
	for n, t := range terms {
		if t.count() < terms[best].count() {
			best = n
		}
	}
	lead := terms[best]
	return &selected{lead: lead, terms: slices.Delete(terms, best, best+1)}, nil
}

// alternatives returns the terms of i: of the keys in each, one must be there.
func (s *selection) alternatives(i *driver.Item) (all [][]keyName) {
	any := func(k kind, names ...string) {
		if len(names) == 0 {
			return
		}
		t := make([]keyName, 0, len(names))
		for _, n := range names {
			if k := (keyName{k, n}); !slices.Contains(t, k) {
				t = append(t, k)
			}
		}
		all = append(all, t)
	}
	any(streamKind, i.Streams...)
	any(typeKind, i.Types...)
	if i.Category != "" {
		any(categoryKind, i.Category)
	}
	for _, t := range i.Tags {
		any(tagKind, t)
	}
	return all
}

// positions returns where ids are, in order.
func (s *selection) positions(c *conn, ids []driver.ID) (found []driver.Position, err error) {
	for _, id := range ids {
		p, err := c.positionOfID(id)
		if err != nil {
			return nil, err
		}
		if p > s.after && p <= s.upTo {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	if s.backward {
		slices.Reverse(found)
	}
	return slices.Compact(found), nil
}

func (c *conn) positionOfID(id driver.ID) (p driver.Position, err error) {
	err = each(c.positionOf, func() bool {
		p = driver.Position(c.positionOf.ColumnInt64(0))
		return false
	}, id[:])
	return p, err
}

// next returns the next position, ok false if there is none.
func (s *selection) next(c *conn) (driver.Position, bool, error) {
	var best driver.Position
	found := false
	for _, i := range s.items {
		p, ok, err := i.next(c, s)
		if err != nil {
			return 0, false, err
		}
		if ok && (!found || s.before(p, best)) {
			best, found = p, true
		}
	}
	if found {
		s.from = best
	}
	return best, found, nil
}

func (s *selection) before(p, q driver.Position) bool {
	if s.backward {
		return p > q
	}
	return p < q
}

func (s *selection) bounded(p driver.Position) bool { return p > s.after && p <= s.upTo }

// next returns the item's next position beyond s.from.
func (i *selected) next(c *conn, s *selection) (driver.Position, bool, error) {
	for from := s.from; ; {
		p, ok, err := i.candidate(c, s, from)
		if err != nil || !ok || !s.bounded(p) {
			return 0, false, err
		}
		if ok, err := i.holds(c, p); err != nil || ok {
			return p, ok, err
		}
		from = p
	}
}

// candidate returns the next position at which the lead is.
func (i *selected) candidate(c *conn, s *selection, from driver.Position) (best driver.Position, found bool, err error) {
	if i.byID {
		for _, p := range i.ids {
			if s.before(from, p) {
				return p, true, nil
			}
		}
		return 0, false, nil
	}
	for _, l := range i.lead {
		e, ok, err := l.peek(c, from)
		if err != nil {
			return 0, false, err
		}
		if ok && (!found || s.before(e.position, best)) {
			best, found = e.position, true
		}
	}
	return best, found, nil
}

// holds reports whether every other term is at p.
func (i *selected) holds(c *conn, p driver.Position) (bool, error) {
	for _, t := range i.terms {
		found := false
		for _, l := range t {
			err := each(c.has, func() bool { found = true; return false }, l.key, p)
			if err != nil {
				return false, err
			}
			if found {
				break
			}
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}
