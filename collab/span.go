package collab

import (
	"slices"
	"time"
)

// Span is a part of a text that one author wrote in one go.
type Span struct {
	Length  int // in code points
	Author  string
	Version uint64    // of the last change that wrote in it
	Time    time.Time // of that change
}

// spans is who wrote each part of a text. It is changed in place.
type spans []Span

// apply does to s what c, by by.Author at by.Time, does to the text. What one
// author writes with pauses shorter than pause becomes one span.
func (s *spans) apply(c Change, by Span, pause time.Duration) {
	i, in := 0, 0 // the place: in so many code points of span i
	split := func() {
		if in > 0 {
			rest := (*s)[i]
			rest.Length -= in
			(*s)[i].Length = in
			*s = slices.Insert(*s, i+1, rest)
			i, in = i+1, 0
		}
	}
	for _, op := range c {
		switch n := op.Keep; {
		case op.Insert != "":
			by.Length = runes(op.Insert)
			switch {
			case in > 0 && (*s)[i].joins(by, pause):
				(*s)[i].extend(by)
				in += by.Length
			case in == 0 && i > 0 && (*s)[i-1].joins(by, pause):
				(*s)[i-1].extend(by)
			case in == 0 && i < len(*s) && (*s)[i].joins(by, pause):
				(*s)[i].extend(by)
				in = by.Length
			default:
				split()
				*s = slices.Insert(*s, i, by)
				i++
			}
		case op.Delete > 0:
			s.delete(i, &in, op.Delete)
			if in > 0 && i < len(*s) && in == (*s)[i].Length {
				i, in = i+1, 0
			}
		default:
			for n > 0 && i < len(*s) {
				step := min(n, (*s)[i].Length-in)
				n -= step
				if in += step; in == (*s)[i].Length {
					i, in = i+1, 0
				}
			}
		}
	}
}

// delete takes n code points out from the place on.
func (s *spans) delete(i int, in *int, n int) {
	from := i
	if *in > 0 { // the span's beginning stays
		take := min(n, (*s)[i].Length-*in)
		(*s)[i].Length -= take
		n -= take
		from++
	}
	to := from
	for n > 0 && to < len(*s) {
		take := min(n, (*s)[to].Length)
		(*s)[to].Length -= take
		n -= take
		if (*s)[to].Length > 0 {
			break
		}
		to++
	}
	*s = slices.Delete(*s, from, to)
}

func (s *Span) joins(by Span, pause time.Duration) bool {
	return s.Author == by.Author && by.Time.Sub(s.Time) < pause
}

func (s *Span) extend(by Span) {
	s.Length += by.Length
	s.Version, s.Time = by.Version, by.Time
}
