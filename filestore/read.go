package filestore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/annals-db/annals/driver"
)

// Read yields the records that match q, as o says, of the log as it is when
// ranging begins.
func (s *Store) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		o := o // the sequence may be ranged over again
		v, err := s.current(ctx)
		if err == nil {
			err = v.bound(&o)
		}
		if err != nil {
			yield(driver.Record{}, err)
			return
		}
		r := reader{s: s, ctx: ctx, v: v, q: q, o: o, yield: yield}
		switch {
		case o.After >= o.UpTo:
		case !q.All():
			if stream, ok := streamOf(q); ok && !o.Backward {
				r.stream(stream)
			} else {
				r.selected(nil)
			}
		case o.Backward:
			r.backward()
		default:
			r.scan()
		}
		r.finish()
	}
}

// bound puts the default bound into o, and returns an error if o names a
// position that does not exist.
func (v *view) bound(o *driver.ReadOptions) error {
	if o.UpTo == 0 && v.damage != nil {
		// What lies behind the damage was promised too, so the reading must
		// not seem to end well.
		o.UpTo = v.head + 1
	}
	for _, p := range [...]driver.Position{o.After, o.UpTo} {
		if p <= v.head {
			continue
		}
		if v.damage == nil {
			return &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: v.head}
		}
		if o.Backward || p == o.After {
			return v.damage
		}
	}
	if o.UpTo == 0 {
		o.UpTo = v.head
	}
	return nil
}

// reader is one Read under way.
type reader struct {
	s       *Store
	ctx     context.Context
	v       *view
	q       driver.Query
	o       driver.ReadOptions
	yield   func(driver.Record, error) bool
	yielded int
	rec     driver.Record // the one being read, so that not each is allocated
	left    bool          // the loop was left or the limit reached
	err     error         // what ended the reading
}

// give yields rec and reports whether to go on.
func (r *reader) give(rec *driver.Record) bool {
	if err := r.ctx.Err(); err != nil {
		r.err = err
		return false
	}
	if !r.yield(*rec, nil) {
		r.left = true
		return false
	}
	r.yielded++
	r.left = r.yielded == r.o.Limit
	return !r.left
}

// finish yields the error that ended the reading, if any.
func (r *reader) finish() {
	if r.left {
		return
	}
	if r.err == nil && r.o.UpTo > r.v.head {
		r.err = r.v.damage
	}
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err != nil {
		r.yield(driver.Record{}, r.s.ioError(r.err))
	}
}

// upTo is the last position to yield that can be read.
func (r *reader) upTo() driver.Position { return min(r.o.UpTo, r.v.head) }

// span yields the segments that hold positions to read, in the order of reading.
func (r *reader) span() iter.Seq[int] {
	first, last := max(r.v.find(r.o.After+1), 0), r.v.find(r.upTo())
	return func(yield func(int) bool) {
		for n := range last - first + 1 {
			i := first + n
			if r.o.Backward {
				i = last - n
			}
			if !yield(i) {
				return
			}
		}
	}
}

// selected yields what the indexes name and the query matches. each, if not
// nil, is shown every record before it is yielded.
func (r *reader) selected(each func(*driver.Record)) {
	var dec decoder
	var mem arena
	for i := range r.span() {
		g, end := r.v.segments[i], r.v.endOf(i)
		for hit, err := range g.hits(r.q, r.o.After, r.upTo(), r.o.Backward) {
			if err != nil {
				r.err = g.damagedIndex(err)
				return
			}
			r.rec = driver.Record{}
			if r.err = r.s.load(g, hit.Position, hit.Offset, end, &mem, &dec, &r.rec); r.err != nil {
				return
			}
			if !r.q.Matches(&r.rec.Event) {
				continue
			}
			if each != nil {
				each(&r.rec)
			}
			if !r.give(&r.rec) {
				return
			}
		}
	}
}

// backward yields every record backwards, in pieces that are read forwards.
func (r *reader) backward() {
	const piece = 256
	for i := range r.span() {
		first := max(r.o.After+1, r.v.segments[i].header.first)
		last := r.upTo()
		if i+1 < len(r.v.segments) {
			last = min(last, r.v.segments[i+1].header.first-1)
		}
		for last >= first {
			from := first
			if last-first >= piece {
				from = last - piece + 1
			}
			records, err := r.s.records(r.v, i, from, last)
			if err != nil {
				r.err = err
				return
			}
			for n := range slices.Backward(records) {
				if !r.give(&records[n]) {
					return
				}
			}
			last = from - 1
		}
	}
}

// records returns the records from first to last, all in segment i.
func (s *Store) records(v *view, i int, first, last driver.Position) ([]driver.Record, error) {
	sc, err := s.scanFrom(v, i, first)
	if err != nil {
		return nil, err
	}
	out := make([]driver.Record, last-first+1)
	for n := range out {
		if ok, err := sc.record(&out[n]); err != nil {
			return nil, err
		} else if !ok {
			return nil, v.segments[i].corrupt(sc.next, sc.at(), "the segment ends before it")
		}
	}
	return out, nil
}

// load reads the record at p, whose frame is at offset of g, into rec.
func (s *Store) load(g *segment, p driver.Position, offset, end int64, mem *arena, dec *decoder, rec *driver.Record) error {
	b, err := s.blocks.frame(g, offset, end, mem)
	if err == nil {
		err = decodeRecord(b, p, g.header.baseTime, dec, rec)
	}
	if err != nil {
		return g.readError(p, offset, err)
	}
	return nil
}

// readError returns what err, met reading the record at p, is to the caller: an
// error of the file system as it is, else corruption.
func (g *segment) readError(p driver.Position, offset int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errShort), errors.Is(err, errChecksum), errors.Is(err, errFrame), errors.Is(err, errBody):
		return g.corrupt(p, offset, err.Error())
	}
	return fmt.Errorf("read position %d of %s: %w", p, g.name, err)
}

// recordAt returns the record at p, which the view holds.
func (s *Store) recordAt(v *view, p driver.Position) (driver.Record, error) {
	var rec driver.Record
	i := v.find(p)
	if i < 0 || p > v.head {
		return rec, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: v.head}
	}
	g := v.segments[i]
	offset, err := g.offset(p)
	if err != nil {
		return rec, err
	}
	return rec, s.load(g, p, offset, v.endOf(i), &arena{}, &decoder{}, &rec)
}

// decodeRecord decodes b, the frame of the record at p, into rec, which is zero.
func decodeRecord(b []byte, p driver.Position, baseTime int64, dec *decoder, rec *driver.Record) error {
	f, err := parseFrame(b, p)
	if err != nil {
		return err
	}
	rec.Position = p
	rec.Version = f.version
	rec.Batch = p - driver.Position(f.distance)
	rec.Time = unixNano(baseTime + int64(f.delta))
	return dec.event(f.body, rec)
}
