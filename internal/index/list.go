package index

import "encoding/binary"

// list is the postings of one key of a dictionary.
type list struct {
	d     *dictionary
	count uint64
	k     uint
	short []uint32 // all of them, if at most shortList
	skips int64    // where in the content the skip table of a long list begins
	table []byte   // the skip table, once it has been read
}

// list returns the list of the key with that rank.
func (d *dictionary) list(rank uint64) (list, error) {
	b, err := d.s.pages.bytes(d.samples+4*int64(rank/keysPerSample), 8)
	if err != nil {
		return list{}, err
	}
	begin, end := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if begin > end || end > d.postingsLen*8 {
		return list{}, d.s.damaged(d.samples, "the samples of a dictionary are out of order")
	}
	if b, err = d.s.pages.bytes(d.postings+int64(begin/8), int64((end+7)/8-begin/8)); err != nil {
		return list{}, err
	}
	r := bitReader{buf: b, at: begin % 8}
	for range rank % keysPerSample {
		d.passList(&r)
	}
	return d.readList(&r)
}

// passList passes over a list.
func (d *dictionary) passList(r *bitReader) {
	count := r.gamma()
	if count > shortList {
		r.skip(pointerBits)
		return
	}
	k := riceWidth(uint32(d.s.n), count)
	for range count {
		r.unary()
		r.skip(uint64(k))
	}
}

func (d *dictionary) readList(r *bitReader) (list, error) {
	l := list{d: d, count: r.gamma()}
	l.k = riceWidth(uint32(d.s.n), l.count)
	var ok bool
	if l.count <= shortList {
		l.short, ok = d.gaps(r, make([]uint32, 0, l.count), 0, l.count, l.k)
	} else {
		at := r.read(pointerBits)
		l.skips = d.long + int64(at)
		ok = l.count <= d.s.n && at+l.blocks()*skipSize+skipSize <= d.longLen
	}
	if r.short || !ok {
		return list{}, d.s.damaged(d.postings, "a list of postings is out of bounds")
	}
	return l, nil
}

// gaps appends count ordinals from begin on to out; ok is false if they leave the segment.
func (d *dictionary) gaps(r *bitReader, out []uint32, begin, count uint64, k uint) (_ []uint32, ok bool) {
	for range count {
		begin += r.rice(k)
		if begin >= d.s.n {
			return out, false
		}
		out = append(out, uint32(begin))
		begin++
	}
	return out, true
}

// blocks is the number of blocks of a long list.
func (l *list) blocks() uint64 { return ceil(l.count, blockLen) }

// skip returns entry i of a long list's skip table.
func (l *list) skip(i uint64) (ordinal uint32, bit uint64, err error) {
	if l.table == nil {
		l.table, err = l.d.s.pages.bytes(l.skips, int64(l.blocks()+1)*skipSize)
		if err != nil {
			return 0, 0, err
		}
	}
	b := l.table[i*skipSize:]
	return binary.LittleEndian.Uint32(b), uint64(binary.LittleEndian.Uint32(b[4:])), nil
}

// last returns the last ordinal.
func (l *list) last() (uint32, error) {
	if l.short != nil {
		return l.short[len(l.short)-1], nil
	}
	b, err := l.d.s.pages.bytes(l.skips+int64(l.blocks())*skipSize, skipSize)
	if err != nil {
		return 0, err
	}
	o := binary.LittleEndian.Uint32(b)
	if uint64(o) >= l.d.s.n {
		return 0, l.d.s.damaged(l.skips, "a list of postings is out of bounds")
	}
	return o, nil
}

// block returns block i of a long list, in out's memory if that suffices.
func (l *list) block(i uint64, out []uint32) ([]uint32, error) {
	first, begin, err := l.skip(i)
	if err != nil {
		return nil, err
	}
	_, end, err := l.skip(i + 1)
	if err != nil {
		return nil, err
	}
	data := uint64(l.skips-l.d.long) + (l.blocks()+1)*skipSize
	if begin > end || data+(end+7)/8 > l.d.longLen || uint64(first) >= l.d.s.n {
		return nil, l.d.s.damaged(l.skips, "a list of postings is out of bounds")
	}
	b, err := l.d.s.pages.bytes(l.d.long+int64(data+begin/8), int64((end+7)/8-begin/8))
	if err != nil {
		return nil, err
	}
	r := bitReader{buf: b, at: begin % 8}
	count := min(l.count-i*blockLen, blockLen)
	out, ok := l.d.gaps(&r, append(out[:0], first), uint64(first)+1, count-1, l.k)
	if r.short || !ok {
		return nil, l.d.s.damaged(l.skips, "a list of postings is out of bounds")
	}
	return out, nil
}

// blockOf returns the last block that begins at or before ordinal, from the
// given one on, and that one if none does.
func (l *list) blockOf(ordinal int64, from uint64) (uint64, error) {
	begin, end := from, l.blocks()
	for step := uint64(1); begin+1 < end; {
		middle := min(begin+step, (begin+end)/2)
		first, _, err := l.skip(middle)
		if err != nil {
			return 0, err
		}
		if int64(first) <= ordinal {
			begin, step = middle, step*2
		} else {
			end = middle
		}
	}
	return begin, nil
}
