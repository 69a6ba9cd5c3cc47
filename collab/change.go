package collab

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Change is an edit of a text, from its beginning on: what is kept, deleted
// and inserted. What is kept at the end is left out. Positions and lengths
// are code points.
//
// As JSON it is an array: a positive number keeps so many, a negative one
// deletes so many, a string is inserted. [5,"abc",-2] keeps five, inserts abc
// and deletes two.
//
// A Change made by [Insert], [Delete], [Replace], [Diff] or by decoding is in
// the one normal form, which every function here gives and keeps.
type Change []Op

// Op is one step of a [Change]. Exactly one field is set.
type Op struct {
	Keep   int
	Delete int
	Insert string
}

// maxCount bounds what a change may count, so that no sum overflows.
const maxCount = 1 << 30

// Insert returns the change that inserts s at a position.
func Insert(at int, s string) Change { return Replace(at, 0, s) }

// Delete returns the change that deletes n code points from a position on.
func Delete(at, n int) Change { return Replace(at, n, "") }

// Replace returns the change that puts s in the place of n code points.
func Replace(at, n int, s string) Change {
	var b builder
	b.keep(at)
	b.insert(s)
	b.delete(n)
	return b.change()
}

// Diff returns the smallest single replacement that makes after of before.
func Diff(before, after string) Change {
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	for head > 0 && (head < len(before) && !utf8.RuneStart(before[head]) || head < len(after) && !utf8.RuneStart(after[head])) {
		head--
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	for tail > 0 && !utf8.RuneStart(before[len(before)-tail]) {
		tail--
	}
	return Replace(utf8.RuneCountInString(before[:head]),
		utf8.RuneCountInString(before[head:len(before)-tail]), after[head:len(after)-tail])
}

// Equal reports whether a and b are the same change.
func (c Change) Equal(other Change) bool { return slices.Equal(c, other) }

// Counts returns how many code points c reaches into the text it is made for,
// and how many it inserts and deletes.
func (c Change) Counts() (reach, inserted, deleted int) {
	for _, op := range c {
		reach += op.Keep + op.Delete
		deleted += op.Delete
		inserted += utf8.RuneCountInString(op.Insert)
	}
	return reach, inserted, deleted
}

// split parts c into one that inserts at most so many code points in all, and
// the rest, to be done after it.
func (c Change) split(most int) (part, rest Change) {
	var b builder
	at := 0 // in the text after part
	for i, op := range c {
		n := runes(op.Insert)
		if n <= most {
			b.add(op)
			at += op.Keep + n
			most -= n
			continue
		}
		cut := offset(op.Insert, most)
		b.insert(op.Insert[:cut])
		var after builder
		after.keep(at + most)
		after.insert(op.Insert[cut:])
		for _, op := range c[i+1:] {
			after.add(op)
		}
		return b.change(), after.change()
	}
	return c, nil
}

// MarshalJSON writes c as an array of numbers and strings.
func (c Change) MarshalJSON() ([]byte, error) {
	steps := make([]any, len(c))
	for i, op := range c {
		switch {
		case op.Insert != "":
			steps[i] = op.Insert
		case op.Delete > 0:
			steps[i] = -op.Delete
		default:
			steps[i] = op.Keep
		}
	}
	return json.Marshal(steps)
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses anything else.
func (c *Change) UnmarshalJSON(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '[' {
		return errors.Join(errors.New("a change is an array of numbers and strings"), err)
	}
	var b builder
	total := 0
	for {
		t, err := dec.ReadToken()
		if err != nil {
			return err
		}
		switch t.Kind() {
		case ']':
			*c = b.change()
			return nil
		case '"':
			s := t.String()
			if s == "" || strings.IndexByte(s, 0) >= 0 {
				return errors.New("a change inserts nothing, or a NUL")
			}
			b.insert(s)
		case '0':
			n, err := t.Int()
			if err != nil || n == 0 || n > maxCount || n < -maxCount {
				return fmt.Errorf("a change counts %s", t)
			}
			if total += max(int(n), int(-n)); total > maxCount {
				return errors.New("a change reaches too far")
			}
			if n > 0 {
				b.keep(int(n))
			} else {
				b.delete(int(-n))
			}
		default:
			return fmt.Errorf("a change holds %s, which is neither a number nor a string", t)
		}
	}
}

// builder makes a change in its normal form: steps of one kind joined, none
// empty, what is inserted before what is deleted, nothing kept at the end.
type builder struct{ ops Change }

func (b *builder) last() *Op {
	if len(b.ops) == 0 {
		return nil
	}
	return &b.ops[len(b.ops)-1]
}

func (b *builder) keep(n int) {
	if n <= 0 {
		return
	}
	if l := b.last(); l != nil && l.Keep > 0 {
		l.Keep += n
		return
	}
	b.ops = append(b.ops, Op{Keep: n})
}

func (b *builder) delete(n int) {
	if n <= 0 {
		return
	}
	if l := b.last(); l != nil && l.Delete > 0 {
		l.Delete += n
		return
	}
	b.ops = append(b.ops, Op{Delete: n})
}

func (b *builder) insert(s string) {
	if s == "" {
		return
	}
	n := len(b.ops)
	deleted := 0
	if n > 0 && b.ops[n-1].Delete > 0 {
		deleted = b.ops[n-1].Delete
		b.ops = b.ops[:n-1]
	}
	if l := b.last(); l != nil && l.Insert != "" {
		l.Insert += s
	} else {
		b.ops = append(b.ops, Op{Insert: s})
	}
	b.delete(deleted)
}

func (b *builder) add(op Op) {
	b.keep(op.Keep)
	b.insert(op.Insert)
	b.delete(op.Delete)
}

func (b *builder) change() Change {
	if l := b.last(); l != nil && l.Keep > 0 {
		b.ops = b.ops[:len(b.ops)-1]
	}
	return b.ops
}
