package collab

import (
	"unicode/utf8"

	"github.com/annals-db/annals/internal/mutant"
)

// cursor walks over the steps of a change, which it takes apart where the
// other change has a boundary.
type cursor struct {
	ops  Change
	done int // of ops[0]
}

// head returns the kind of the next step and its length; a change that has
// ended keeps for ever.
func (c *cursor) head() (op Op, n int) {
	if len(c.ops) == 0 {
		return Op{Keep: maxCount}, maxCount
	}
	switch op = c.ops[0]; {
	case op.Insert != "":
		op.Insert = op.Insert[offset(op.Insert, c.done):]
		return op, runes(op.Insert)
	case op.Delete > 0:
		return op, op.Delete - c.done
	}
	return op, op.Keep - c.done
}

func (c *cursor) take(n int) {
	if len(c.ops) == 0 {
		return
	}
	op := c.ops[0]
	total := op.Keep + op.Delete
	if op.Insert != "" {
		total = runes(op.Insert)
	}
	if c.done += n; c.done >= total {
		c.ops, c.done = c.ops[1:], 0
	}
}

func (c *cursor) ended() bool { return len(c.ops) == 0 }

// runes is the length of s in code points.
func runes(s string) int {
	if mutant.BytePositions {
		return len(s)
	}
	return utf8.RuneCountInString(s)
}

// offset is the place in bytes of the n-th code point of s.
func offset(s string, n int) int {
	if mutant.BytePositions {
		return min(n, len(s))
	}
	if n <= 0 {
		return 0
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// Transform turns two changes of one text, made without knowledge of each
// other, into what is to be done after the other one: doing first and then
// later2 gives what doing later and then first2 gives. Where both insert at
// one place, what first inserts comes first.
func Transform(first, later Change) (first2, later2 Change) {
	return transform(first, later, true)
}

// transform is Transform with the tie given: whether what first inserts comes first.
func transform(first, later Change, tie bool) (Change, Change) {
	var outA, outB builder
	a, b := cursor{ops: first}, cursor{ops: later}
	for !a.ended() || !b.ended() {
		opA, n := a.head()
		opB, m := b.head()
		switch {
		case opA.Insert != "" && (tie || opB.Insert == ""):
			outA.insert(opA.Insert)
			outB.keep(n)
			a.take(n)
			continue
		case opB.Insert != "":
			outA.keep(m)
			outB.insert(opB.Insert)
			b.take(m)
			continue
		}
		n = min(n, m)
		switch {
		case opA.Keep > 0 && opB.Keep > 0:
			outA.keep(n)
			outB.keep(n)
		case opA.Delete > 0 && opB.Keep > 0:
			outA.delete(n)
		case opA.Keep > 0 && opB.Delete > 0:
			outB.delete(n)
		}
		a.take(n)
		b.take(n)
	}
	return outA.change(), outB.change()
}

// Compose returns the one change that does what c and then next do.
func (c Change) Compose(next Change) Change {
	var out builder
	a, b := cursor{ops: c}, cursor{ops: next}
	for !a.ended() || !b.ended() {
		opA, n := a.head()
		opB, m := b.head()
		switch {
		case opA.Delete > 0:
			out.delete(n)
			a.take(n)
			continue
		case opB.Insert != "":
			out.insert(opB.Insert)
			b.take(m)
			continue
		}
		n = min(n, m)
		switch {
		case opA.Insert != "" && opB.Keep > 0:
			out.insert(opA.Insert[:offset(opA.Insert, n)])
		case opA.Keep > 0 && opB.Keep > 0:
			out.keep(n)
		case opA.Keep > 0: // and deleted by next; what c inserted and next deletes is gone
			out.delete(n)
		}
		a.take(n)
		b.take(n)
	}
	return out.change()
}

// Map returns where a position of the text before c is after it. What is
// inserted right there comes after the position, or with after before it.
func (c Change) Map(position int, after bool) int {
	at := 0 // in the text after
	for _, op := range c {
		if position < 0 || op.Insert != "" && position == 0 && !after {
			break
		}
		switch {
		case op.Insert != "":
			at += runes(op.Insert)
		case op.Delete > 0:
			position -= min(position, op.Delete)
		case op.Keep > position:
			return at + position
		default:
			at += op.Keep
			position -= op.Keep
		}
	}
	return at + max(position, 0)
}

// end returns the place right after the last thing that c does, in the text
// after c: where the caret of who did it stands.
func (c Change) end() int {
	at := 0
	for _, op := range c {
		at += op.Keep + runes(op.Insert)
	}
	return at
}
