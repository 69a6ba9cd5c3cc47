package index

import (
	"bytes"
	"iter"
	"slices"

	"github.com/annals-db/annals/driver"
)

// Select yields candidates for the records that match q with positions in
// (after, upTo], in order of position, from the highest down if backward.
// Every record that matches is among them. An error is the last thing yielded.
func (s *Sealed) Select(q driver.Query, after, upTo driver.Position, backward bool) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		low, high, ok := ordinals(s.First(), uint32(s.n), after, upTo)
		if !ok {
			return
		}
		c, err := s.query(q, backward)
		if err != nil {
			yield(Hit{}, err)
			return
		}
		if c == nil {
			return
		}
		at, step := low, int64(1)
		if backward {
			at, step = high, -1
		}
		var frames offsets
		for {
			o, ok, err := c.seek(at)
			if err == nil && (!ok || o < low || o > high) {
				return
			}
			var offset int64
			if err == nil {
				offset, err = frames.at(s, uint32(o))
			}
			if err != nil {
				yield(Hit{}, err)
				return
			}
			if !yield(Hit{s.First() + driver.Position(o), offset}, nil) {
				return
			}
			at = o + step
		}
	}
}

// query returns a cursor over the candidates for q, nil if there are none.
func (s *Sealed) query(q driver.Query, backward bool) (cursor, error) {
	if q.All() {
		return everything{int64(s.n)}, nil
	}
	var items []cursor
	for i := range q.Items {
		c, err := s.item(&q.Items[i], backward)
		if err != nil {
			return nil, err
		}
		if c != nil {
			items = append(items, c)
		}
	}
	if len(items) == 0 {
		return nil, nil
	}
	return newUnion(items, backward), nil
}

// item returns a cursor over the candidates for i, nil if there are none.
func (s *Sealed) item(i *driver.Item, backward bool) (cursor, error) {
	var all []cursor
	// What is likely to be absent comes first.
	for _, tag := range i.Tags {
		c, err := s.anyOf(tagNames, []string{tag}, backward)
		if c == nil {
			return nil, err
		}
		all = append(all, c)
	}
	for _, f := range []struct {
		given bool
		find  func() (cursor, error)
	}{
		{len(i.Streams) > 0, func() (cursor, error) { return s.anyOf(streamNames, i.Streams, backward) }},
		{len(i.IDs) > 0, func() (cursor, error) { return s.withIDs(i.IDs, backward) }},
		{i.Category != "", func() (cursor, error) { return s.inCategory(i.Category, backward) }},
		{len(i.Types) > 0, func() (cursor, error) { return s.anyOf(typeNames, i.Types, backward) }},
	} {
		if !f.given {
			continue
		}
		c, err := f.find()
		if c == nil {
			return nil, err
		}
		all = append(all, c)
	}
	return newIntersection(all, s.n), nil
}

// anyOf returns a cursor over the lists of any of the names, nil if there are none.
func (s *Sealed) anyOf(which int, names []string, backward bool) (cursor, error) {
	var found []cursor
	for _, name := range names {
		lists, err := s.dicts[which].find(name)
		if err != nil {
			return nil, err
		}
		for _, l := range lists {
			found = append(found, newListCursor(l, backward))
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return newUnion(found, backward), nil
}

// inCategory returns a cursor over the streams that begin with category and a
// dash, and the one named just so.
func (s *Sealed) inCategory(category string, backward bool) (cursor, error) {
	if driver.Category(category) != category {
		return nil, nil
	}
	var found []cursor
	for _, which := range []int{categoryNames, streamNames} {
		c, err := s.anyOf(which, []string{category}, backward)
		if err != nil {
			return nil, err
		}
		if c != nil {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return newUnion(found, backward), nil
}

func (s *Sealed) withIDs(ids []driver.ID, backward bool) (cursor, error) {
	var found []uint32
	for _, id := range ids {
		some, err := s.idOrdinals(id)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	if len(found) == 0 {
		return nil, nil
	}
	slices.Sort(found)
	return &ordinalList{slices.Compact(found), backward}, nil
}

// LastOf yields candidates for the last record of stream, latest first. If
// the segment has records of stream, the last of them is the first candidate
// that proves to be of that stream. For a stream it does not have it mostly
// yields nothing, without reading the file.
func (s *Sealed) LastOf(stream string) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		lists, err := s.dicts[streamNames].find(stream)
		var last []uint32
		for i := range lists {
			var o uint32
			if o, err = lists[i].last(); err != nil {
				break
			}
			last = append(last, o)
		}
		slices.Sort(last)
		slices.Reverse(last)
		s.hits(last, err, yield)
	}
}

// FindID yields candidates for the record with id. For an ID that the
// segment does not have it mostly yields nothing, without reading the file.
func (s *Sealed) FindID(id driver.ID) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		found, err := s.idOrdinals(id)
		slices.Sort(found)
		s.hits(slices.Compact(found), err, yield)
	}
}

// hits yields where the records with these ordinals are, or err.
func (s *Sealed) hits(ordinals []uint32, err error, yield func(Hit, error) bool) {
	if err != nil {
		yield(Hit{}, err)
		return
	}
	var frames offsets
	for _, o := range ordinals {
		offset, err := frames.at(s, o)
		if err != nil {
			yield(Hit{}, err)
			return
		}
		if !yield(Hit{s.First() + driver.Position(o), offset}, nil) {
			return
		}
	}
}

// idOrdinals returns the ordinals of the records that may have id.
func (s *Sealed) idOrdinals(id driver.ID) (found []uint32, err error) {
	if ms, ok := idTime(&id); ok && s.orderedIDs > 0 && ms >= s.idMin && ms <= s.idMax {
		if found, err = s.orderedID(id, ms); err != nil {
			return nil, err
		}
	}
	lists, err := s.dicts[strayIDs].find(string(id[:]))
	for i := range lists {
		if len(lists[i].short) != 1 {
			return nil, s.damaged(s.dicts[strayIDs].postings, "an ID has several postings")
		}
		found = append(found, lists[i].short...)
	}
	return found, err
}

// orderedID looks at the fingerprints of the blocks whose range holds the time of id.
func (s *Sealed) orderedID(id driver.ID, ms uint64) (found []uint32, err error) {
	ranges, err := s.idMap.bytes(0, s.idMap.size)
	if err != nil {
		return nil, err
	}
	print := idPrint(hash(s.seed, string(id[:])))
	for block := uint64(0); block*idBlockSize < uint64(len(ranges)); block++ {
		if low, high := idRange(ranges[block*idBlockSize:]); ms < low || ms > high {
			continue
		}
		begin := block * idBlockLen
		prints, err := s.pages.bytes(s.prints+int64(begin), int64(min(idBlockLen, s.n-begin)))
		if err != nil {
			return nil, err
		}
		for at := 0; ; at++ {
			i := bytes.IndexByte(prints[at:], print)
			if i < 0 {
				break
			}
			at += i
			found = append(found, uint32(begin)+uint32(at))
		}
	}
	return found, nil
}
