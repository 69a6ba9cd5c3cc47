package collab

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text is a text that does not change: a change makes a new one, which shares
// with the old one what is equal. So many versions of a text cost little, and
// a change costs as much as the part it touches. The zero Text is empty.
type Text struct {
	chunks []chunk
	length int // in code points
}

// chunk is a part of a text, with its length in both units.
type chunk struct {
	s            string
	points, half int // code points, UTF-16 code units
}

// chunkBytes is the size a chunk is split at; pieces are half of it.
const chunkBytes = 4096

// NewText returns the text of s. What is not UTF-8 in s becomes U+FFFD.
func NewText(s string) Text {
	var w textWriter
	w.write(strings.ToValidUTF8(s, "\uFFFD"))
	return w.text()
}

// Len returns the length in code points.
func (t Text) Len() int { return t.length }

// String returns the text.
func (t Text) String() string {
	var b strings.Builder
	for _, c := range t.chunks {
		b.WriteString(c.s)
	}
	return b.String()
}

// PositionError says that a change, or a cursor, does not fit its text.
type PositionError struct {
	Position int // in the units that were given
	Length   int // of the text, in the same units
	Half     bool
}

func (e *PositionError) Error() string {
	if e.Half {
		return fmt.Sprintf("position %d is inside a surrogate pair", e.Position)
	}
	return fmt.Sprintf("position %d is beyond the text, which is %d long", e.Position, e.Length)
}

// Apply returns the text after c. A change that reaches beyond the text is a
// *[PositionError].
func (t Text) Apply(c Change) (Text, error) {
	if reach, _, _ := c.Counts(); reach > t.length {
		return t, &PositionError{Position: reach, Length: t.length}
	}
	var w textWriter
	w.chunks = make([]chunk, 0, len(t.chunks)+2)
	r := textReader{chunks: t.chunks}
	for _, op := range c {
		switch {
		case op.Insert != "":
			w.write(op.Insert)
		case op.Delete > 0:
			r.next(op.Delete, func(chunk) {})
		default:
			r.next(op.Keep, w.writeChunk)
		}
	}
	r.next(t.length, w.writeChunk)
	return w.text(), nil
}

// Invert returns the change that undoes c, which is made for t.
func (t Text) Invert(c Change) Change {
	var b builder
	r := textReader{chunks: t.chunks}
	for _, op := range c {
		switch {
		case op.Insert != "":
			b.delete(runes(op.Insert))
		case op.Delete > 0:
			var gone strings.Builder
			r.next(op.Delete, func(c chunk) { gone.WriteString(c.s) })
			b.insert(gone.String())
		default:
			r.next(op.Keep, func(chunk) {})
			b.keep(op.Keep)
		}
	}
	return b.change()
}

// textReader walks over chunks, which it takes apart.
type textReader struct {
	chunks []chunk
	rest   chunk // of the chunk before chunks[0]
}

// next hands over the next n code points, or as many as there are.
func (r *textReader) next(n int, to func(chunk)) {
	for n > 0 {
		if r.rest.s == "" {
			if len(r.chunks) == 0 {
				return
			}
			r.rest, r.chunks = r.chunks[0], r.chunks[1:]
		}
		piece := r.rest
		if n < piece.points {
			piece = r.rest.cut(n)
		}
		n -= piece.points
		r.rest = chunk{r.rest.s[len(piece.s):], r.rest.points - piece.points, r.rest.half - piece.half}
		to(piece)
	}
}

// cut returns the first n code points of c.
func (c chunk) cut(n int) chunk {
	if c.points == len(c.s) {
		return chunk{c.s[:n], n, n}
	}
	at, half := 0, 0
	for range n {
		_, size := utf8.DecodeRuneInString(c.s[at:])
		at += size
		half += 1 + size/4
	}
	return chunk{c.s[:at], n, half}
}

func measured(s string) chunk {
	points, half := 0, 0
	for i := 0; i < len(s); {
		size := 1
		if s[i] >= utf8.RuneSelf {
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		i += size
		points++
		half += 1 + size/4
	}
	return chunk{s, points, half}
}

// textWriter makes a text of whole chunks, which are kept as they are, and
// pieces, which are gathered.
type textWriter struct {
	chunks []chunk
	open   []byte
}

func (w *textWriter) write(s string) { w.open = append(w.open, s...) }

func (w *textWriter) writeChunk(c chunk) {
	if len(w.open) >= chunkBytes/4 || len(w.open) == 0 && len(c.s) >= chunkBytes/4 {
		w.flush()
		w.chunks = append(w.chunks, c)
		return
	}
	w.open = append(w.open, c.s...)
}

// flush makes chunks of what is gathered.
func (w *textWriter) flush() {
	for len(w.open) > 0 {
		n := len(w.open)
		if n > chunkBytes {
			for n = chunkBytes / 2; !utf8.RuneStart(w.open[n]); n-- {
			}
		}
		w.chunks = append(w.chunks, measured(string(w.open[:n])))
		w.open = w.open[n:]
	}
	w.open = nil
}

func (w *textWriter) text() Text {
	w.flush()
	t := Text{chunks: w.chunks}
	for _, c := range w.chunks {
		t.length += c.points
	}
	return t
}
