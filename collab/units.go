package collab

import "unicode/utf16"

// Units are what positions and lengths on the wire count in.
type Units string

// The units. A JavaScript string counts in UTF-16 code units.
const (
	CodePoints Units = "code-points"
	UTF16      Units = "utf-16"
)

// fromWire returns c, which is made for t in units u, in code points. A
// boundary inside a surrogate pair, and one beyond the text, is a *[PositionError].
func (t Text) fromWire(c Change, u Units) (Change, error) {
	if u != UTF16 {
		if reach, _, _ := c.Counts(); reach > t.length {
			return nil, &PositionError{Position: reach, Length: t.length}
		}
		return c, nil
	}
	var b builder
	m := meter{chunks: t.chunks}
	for _, op := range c {
		if op.Insert != "" {
			b.insert(op.Insert)
			continue
		}
		from := m.points
		if err := m.to(m.halves + op.Keep + op.Delete); err != nil {
			return nil, err
		}
		if op.Keep > 0 {
			b.keep(m.points - from)
		} else {
			b.delete(m.points - from)
		}
	}
	return b.change(), nil
}

// toWire returns c, which is made for t, in units u.
func (t Text) toWire(c Change, u Units) Change {
	if u != UTF16 {
		return c
	}
	var b builder
	r := textReader{chunks: t.chunks}
	for _, op := range c {
		n := 0
		r.next(op.Keep+op.Delete, func(c chunk) { n += c.half })
		switch {
		case op.Insert != "":
			b.insert(op.Insert)
		case op.Keep > 0:
			b.keep(n)
		default:
			b.delete(n)
		}
	}
	return b.change()
}

// positionFromWire returns a position given in units u in code points.
func (t Text) positionFromWire(at int, u Units) (int, error) {
	if at < 0 || u != UTF16 && at > t.length {
		return 0, &PositionError{Position: at, Length: t.length}
	}
	if u != UTF16 {
		return at, nil
	}
	m := meter{chunks: t.chunks}
	err := m.to(at)
	return m.points, err
}

// positionToWire returns a position in units u.
func (t Text) positionToWire(at int, u Units) int {
	if u != UTF16 {
		return at
	}
	n := 0
	r := textReader{chunks: t.chunks}
	r.next(at, func(c chunk) { n += c.half })
	return n
}

// meter finds the code point at a UTF-16 code unit.
type meter struct {
	chunks         []chunk
	at             int // in bytes of chunks[0]
	taken          int // UTF-16 code units of chunks[0] passed
	points, halves int // where it stands
}

// to moves forward to a place.
func (m *meter) to(halves int) error {
	for m.halves < halves {
		if len(m.chunks) == 0 {
			return &PositionError{Position: halves, Length: m.halves}
		}
		c := m.chunks[0]
		left := c.half - m.taken
		switch {
		case m.taken == 0 && left <= halves-m.halves:
			m.points += c.points
			m.halves += left
			m.chunks = m.chunks[1:]
			continue
		case len(c.s) == c.points: // one byte each
			n := min(left, halves-m.halves)
			m.advance(n, n, n)
		default:
			size, n := sizeAt(c.s[m.at:])
			m.advance(size, 1, n)
		}
		if m.at == len(c.s) {
			m.chunks, m.at, m.taken = m.chunks[1:], 0, 0
		}
	}
	if m.halves > halves {
		return &PositionError{Position: halves, Half: true}
	}
	return nil
}

func (m *meter) advance(bytes, points, halves int) {
	m.at += bytes
	m.taken += halves
	m.points += points
	m.halves += halves
}

// sizeAt returns the size of the first code point of s in bytes and in UTF-16 code units.
func sizeAt(s string) (bytes, halves int) {
	for i, r := range s {
		if i > 0 {
			return i, halves
		}
		halves = utf16.RuneLen(r)
	}
	return len(s), halves
}
