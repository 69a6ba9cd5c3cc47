package filestore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/index"
	"github.com/annals-db/annals/internal/merkle"
)

// Verify reads everything the store holds and yields each fault: every record
// by its checksum, the order of groups, positions, versions and times, index
// files and hash trees against the segments they were made from, both slots of
// the durable mark, and the state. After a fault it goes on with the next group
// that is whole.
func (s *Store) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	return func(yield func(error) bool) {
		v, err := s.current(ctx)
		if err != nil {
			yield(err)
			return
		}
		c := &verifier{s: s, ctx: ctx, v: v, progress: progress, versions: map[uint64]uint64{}, yield: yield}
		for i := range v.segments {
			if !c.segment(i) {
				return
			}
		}
		if v.damage != nil && !c.seen(v.damage) && !c.report(v.damage) {
			return
		}
		if c.mark() && c.state() && progress != nil {
			progress(v.head, v.head)
		}
	}
}

// verifier is one Verify under way. Its methods return false when it is to end.
type verifier struct {
	s        *Store
	ctx      context.Context
	v        *view
	progress func(done, total driver.Position)
	versions map[uint64]uint64 // by the hash of the stream
	gaps     bool              // records were unreadable, so versions may jump
	time     int64
	reported []*driver.CorruptError
	yield    func(error) bool
}

func (c *verifier) report(err error) bool {
	var damage *driver.CorruptError
	if errors.As(err, &damage) {
		c.reported = append(c.reported, damage)
	}
	return c.yield(c.s.ioError(err))
}

// seen reports whether damage at the same position was reported before.
func (c *verifier) seen(err error) bool {
	var damage *driver.CorruptError
	return errors.As(err, &damage) && slices.ContainsFunc(c.reported, func(r *driver.CorruptError) bool {
		return r.Position == damage.Position
	})
}

// segment checks the records of segment i, and then its index file by them.
func (c *verifier) segment(i int) bool {
	g, end := c.v.segments[i], c.v.endOf(i)
	mem := index.NewMem(g.header.first)
	nodes := merkle.NewRange(uint64(g.header.first - 1))
	var newest driver.ID
	sc := c.s.scanAt(g, segmentHeaderSize, end, g.header.first)
	whole := true
	var h merkle.Hasher
	for {
		if c.ctx.Err() != nil {
			c.yield(c.ctx.Err())
			return false
		}
		var rec driver.Record
		ok, err := sc.record(&rec)
		if err != nil {
			whole, c.gaps = false, true
			if !c.report(err) {
				return false
			}
			if sc, err = c.skip(sc); err != nil {
				return c.report(err)
			}
			if sc == nil {
				break
			}
			continue
		}
		if !ok {
			break
		}
		if !c.record(g, sc, &rec) {
			return false
		}
		if whole {
			nodes.Append(h.Leaf(&rec))
			newer(&newest, rec.ID)
			mem.Add([]index.Entry{entryOf(&rec, sc.at()-sc.last)})
		}
	}
	if !whole || c.isActive(i) {
		return true
	}
	if next := c.v.segments[i+1].header.first; sc.next != next {
		return c.report(g.corrupt(sc.next, end, fmt.Sprintf("the next segment begins with position %d", next)))
	}
	return c.index(g, mem, sealed{end: end, group: sc.group.group, newest: newest, nodes: mustMarshal(nodes)})
}

func (c *verifier) isActive(i int) bool { return i == len(c.v.segments)-1 }

func mustMarshal(r *merkle.Range) []byte {
	b, _ := r.MarshalBinary() // its error is always nil
	return b
}

// record checks what a record's own checksum cannot tell.
func (c *verifier) record(g *segment, sc *scanner, rec *driver.Record) bool {
	p, at := rec.Position, rec.Time.UnixNano()
	if c.progress != nil && p%4096 == 0 {
		c.progress(p, c.v.head)
	}
	if at < c.time && !c.report(g.corrupt(p, sc.at()-sc.last, "its time is before that of the record before it")) {
		return false
	}
	c.time = at
	if rec.Stream == "" {
		return true
	}
	key := maphash.String(hashSeed, rec.Stream)
	before := c.versions[key]
	c.versions[key] = rec.Version
	if rec.Version == before+1 || c.gaps && rec.Version > before {
		return true
	}
	return c.report(g.corrupt(p, sc.at()-sc.last, fmt.Sprintf("stream %q goes from version %d to %d", rec.Stream, before, rec.Version)))
}

// skip returns a scanner at the first whole group after damage, nil if there is none.
func (c *verifier) skip(sc *scanner) (*scanner, error) {
	const block, overlap = 1 << 20, maxGroupHeader
	from := sc.at()
	for at := from; at < sc.end; at += block {
		b := make([]byte, min(block+overlap, sc.end-at))
		if err := readFull(sc.g, b, at); err != nil {
			return nil, sc.g.readError(sc.next, at, err)
		}
		h, offset := c.s.findGroup(b, at, func(h groupHeader, offset int64) bool { return offset > from && h.first > sc.next })
		if offset > 0 {
			return c.s.scanAt(sc.g, offset, sc.end, h.first), nil
		}
	}
	return nil, nil
}

// index checks the index file of g, if it has one, by what was made again from its records.
func (c *verifier) index(g *segment, mem *index.Mem, own sealed) bool {
	x := g.index.Load().sealed
	if x == nil {
		return true
	}
	if err := x.Verify(mem); err != nil {
		return c.report(g.damagedIndex(err))
	}
	if string(x.Extra()) != string(own.append(nil)) {
		return c.report(&driver.CorruptError{Position: g.header.first, Place: indexName(g.name),
			Reason: "the end or the hash tree it gives is not that of the segment"})
	}
	return true
}

// mark checks both slots of the durable mark.
func (c *verifier) mark() bool {
	for slot := range int64(2) {
		var b, again [markSize]byte
		for try := 0; ; try++ {
			_, err := c.s.mark.file.ReadAt(b[:], slot*markSlot)
			if err != nil && !isEOF(err) {
				return c.report(err)
			}
			if _, ok := parseMark(b[:], c.s.logID); ok || b == [markSize]byte{} {
				break
			}
			if b == again || try == 100 { // twice the same, so it is not just being written
				if !c.report(&driver.CorruptError{Position: c.v.head, Place: fmt.Sprintf("%s/%s, byte %d", c.s.dir, markName, slot*markSlot),
					Reason: "the checksum of a slot of the durable mark does not match"}) {
					return false
				}
				break
			}
			again = b
		}
	}
	return true
}

// state checks every value of the state.
func (c *verifier) state() bool {
	dir := c.s.dir + "/" + stateDirName
	entries, err := c.s.opts.FS.ReadDir(dir)
	if err != nil {
		return c.report(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), stateSuffix) {
			continue
		}
		if _, err := c.s.readState(dir + "/" + e.Name()); err != nil && !isGone(err) && !c.report(err) {
			return false
		}
	}
	return true
}

// entryOf returns what the index keeps of rec, whose frame is at offset.
func entryOf(rec *driver.Record, offset int64) index.Entry {
	return index.Entry{
		Position: rec.Position, Offset: offset, Stream: rec.Stream, Version: rec.Version,
		Type: rec.Type, Tags: rec.Tags, ID: rec.ID, Time: rec.Time.UnixNano(),
	}
}

// noEnd is a leaf number that no log reaches.
const noEnd = math.MaxUint64
