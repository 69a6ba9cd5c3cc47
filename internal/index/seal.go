package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/annals-db/annals/driver"
)

// Seal writes the index file of the segment, of which every record has been
// added; nothing may be added meanwhile. extra is kept verbatim for
// [Sealed.Extra]. The file is the same, byte for byte, whenever it is made
// from the same records and extra.
func (m *Mem) Seal(w io.Writer, extra []byte) error {
	content, seed, err := m.image(extra)
	if err != nil {
		return fmt.Errorf("seal the index of the segment from position %d: %w", m.first, err)
	}
	return writePages(w, content, seed)
}

// image returns the content of the index file.
func (m *Mem) image(extra []byte) (content []byte, seed uint64, err error) {
	n := m.n.Load()
	if n == noRecords {
		return nil, 0, errors.New("it has too many records")
	}
	h := header{
		n: uint64(n), first: uint64(m.first), firstTime: uint64(m.FirstTime()), lastTime: uint64(m.LastTime()),
		extraLen: uint64(len(extra)),
	}
	if n > 0 {
		h.seed = hash(uint64(m.first), string(m.rows.at(0).id[:]))
	}
	groups, lengths, err := m.buildOffsets(n)
	if err != nil {
		return nil, 0, err
	}
	h.lengthsLen = uint64(len(lengths))
	ranges, prints, strays := buildIDs(&h, func(ordinal uint32) *driver.ID { return &m.rows.at(ordinal).id })
	parts := [][]byte{nil, extra, groups, lengths, ranges, prints}
	for i := range dictionaries {
		d, err := m.buildDict(i, n, h.seed, strays)
		if err != nil {
			return nil, 0, err
		}
		h.dict[i] = dictHeader{uint64(len(d.hashes)), uint64(len(d.postings)), uint64(len(d.long))}
		parts = append(parts, d.counts, d.buckets, d.remainders, d.samples, d.postings, d.long)
	}
	for _, p := range parts {
		h.size += uint64(len(p))
	}
	h.size += headerSize
	parts[0] = h.encode()
	content = make([]byte, 0, h.size)
	for _, p := range parts {
		content = append(content, p...)
	}
	return content, h.seed, nil
}

// buildOffsets makes the offset table: for each group a row of its first
// record's time and offset, and where its lengths begin and how wide they are;
// the lengths are the distances to the next offset, for all but the last.
func (m *Mem) buildOffsets(n uint32) (groups, lengths []byte, err error) {
	var w bitWriter
	for begin := uint32(0); begin < n; begin += groupLen {
		end := min(begin+groupLen, n)
		widest := uint64(0)
		for i := begin; i < end; i++ {
			r, next := m.rows.at(i), m.rows.at(min(i+1, n-1))
			if next.offset < r.offset || next.time < r.time {
				return nil, nil, fmt.Errorf("position %d is not after the one before, in place or time", m.first+driver.Position(i)+1)
			}
			if i+1 < end {
				widest |= uint64(next.offset - r.offset)
			}
		}
		width := uint(bits.Len64(widest))
		if width > 56 || w.len() > 1<<32-1 {
			return nil, nil, errors.New("it is too large")
		}
		r := m.rows.at(begin)
		groups = binary.LittleEndian.AppendUint64(groups, uint64(r.time))
		groups = binary.LittleEndian.AppendUint64(groups, uint64(r.offset))
		groups = binary.LittleEndian.AppendUint32(groups, uint32(w.len()))
		groups = binary.LittleEndian.AppendUint32(groups, uint32(width))
		for i := begin; i+1 < end; i++ {
			w.write(uint64(m.rows.at(i+1).offset-m.rows.at(i).offset), width)
		}
	}
	return groups, w.flush(), nil
}

// buildDict makes one dictionary.
func (m *Mem) buildDict(which int, n uint32, seed uint64, strays []uint32) (*dictBuilder, error) {
	rows := func(key func(r *row) uint32) func(yield func(key, ordinal uint32)) {
		return func(yield func(key, ordinal uint32)) {
			for i := range n {
				if k := key(m.rows.at(i)); k != 0 {
					yield(k-1, i)
				}
			}
		}
	}
	switch which {
	case streamNames:
		return buildDict(n, m.streams.hashes(seed), rows(func(r *row) uint32 { return r.stream }))
	case typeNames:
		return buildDict(n, m.types.hashes(seed), rows(func(r *row) uint32 { return r.typ + 1 }))
	case categoryNames:
		return buildDict(n, m.category.hashes(seed), rows(func(r *row) uint32 {
			if r.stream == 0 {
				return 0
			}
			return m.streams.keys.at(r.stream - 1).category
		}))
	case tagNames:
		return buildDict(n, m.tags.hashes(seed), func(yield func(key, ordinal uint32)) {
			for i := range m.tagged.n {
				p := m.tagged.at(i)
				yield(p.tag, p.ordinal)
			}
		})
	}
	hashes := make([]uint64, len(strays))
	for i, o := range strays {
		hashes[i] = hash(seed, string(m.rows.at(o).id[:]))
	}
	return buildDict(n, hashes, func(yield func(key, ordinal uint32)) {
		for i, o := range strays {
			yield(uint32(i), o)
		}
	})
}

// hashes returns the hash of every name.
func (d *names) hashes(seed uint64) []uint64 {
	out := make([]uint64, d.keys.n)
	for i := range out {
		out[i] = hash(seed, d.name(uint32(i)))
	}
	return out
}
