package filestore

import (
	"math"

	"github.com/annals-db/annals/driver"
)

// window is the writer's memory of the records it placed last, durable or about
// to be: enough to judge what came after the position up to which a caller has
// looked.
type window struct {
	start  driver.Position // everything after it is here
	groups []*recent       // in order; the last one is being filled
	free   []*recent       // to be used again
	young  *idTable        // the words of the IDs
	old    *idTable        // young, a generation ago
	bytes  int
	count  int
}

// recent is the part of the window that was, or will be, one group.
type recent struct {
	first      driver.Position
	buf        []byte // groupRoom bytes, then the frames
	offsets    []int32
	signatures []uint64
	ids        []uint64 // words of the IDs
	entered    int      // so many of them are in the tables
}

const (
	windowRecords = 16 << 10
	windowBytes   = 4 << 20
	windowGroups  = 64
)

func newWindow(head driver.Position) *window {
	w := &window{young: &idTable{}, old: &idTable{}}
	w.reset(head)
	return w
}

// reset forgets everything; the log is at head.
func (w *window) reset(head driver.Position) {
	w.start, w.bytes, w.count = head, 0, 0
	w.groups = nil
	w.young.clear()
	w.old.clear()
}

// begin begins the next group, whose first record will be at first.
func (w *window) begin(first driver.Position) *recent {
	for len(w.groups) > 0 && (w.count > windowRecords || w.bytes > windowBytes || len(w.groups) >= windowGroups) {
		g := w.groups[0]
		w.groups = append(w.groups[:0], w.groups[1:]...)
		w.start = g.first + driver.Position(len(g.offsets)) - 1
		w.bytes -= len(g.buf)
		w.count -= len(g.offsets)
		if cap(g.buf) <= 1<<20 {
			w.free = append(w.free, g)
		}
	}
	if w.young.used > windowRecords {
		w.young, w.old = w.old, w.young
		w.young.clear()
	}
	var g *recent
	if n := len(w.free); n > 0 {
		g, w.free = w.free[n-1], w.free[:n-1]
		*g = recent{buf: g.buf[:0], offsets: g.offsets[:0], signatures: g.signatures[:0], ids: g.ids[:0]}
	} else {
		g = &recent{}
	}
	g.first = first
	g.buf = append(g.buf, make([]byte, groupRoom)...)
	w.groups = append(w.groups, g)
	return g
}

// add notes the next record that was placed, its frame at offset of the last group's buf.
func (w *window) add(offset int, signature, id uint64) {
	g := w.groups[len(w.groups)-1]
	g.offsets = append(g.offsets, int32(offset))
	g.signatures = append(g.signatures, signature)
	g.ids = append(g.ids, id)
}

// filled counts the last group, which is complete.
func (w *window) filled() {
	g := w.groups[len(w.groups)-1]
	w.bytes += len(g.buf)
	w.count += len(g.offsets)
}

// enter puts the IDs placed since it was last called into the tables. While
// IDs rise no one asks for any, and it is not called.
func (w *window) enter() {
	n := len(w.groups)
	for n > 0 && w.groups[n-1].entered < len(w.groups[n-1].ids) {
		n--
	}
	for _, g := range w.groups[n:] {
		for i := g.entered; i < len(g.ids); i++ {
			w.young.put(g.ids[i], g.first+driver.Position(i))
		}
		g.entered = len(g.ids)
	}
}

// id returns the position of a record whose ID has this word, 0 if there is none.
func (w *window) id(word uint64) driver.Position {
	w.enter()
	if p := w.young.get(word); p != 0 {
		return p
	}
	return w.old.get(word)
}

// match returns the position of a record after p that q matches, 0 if there is
// none. masks are those of q.
func (w *window) match(q driver.Query, masks []uint64, p driver.Position) driver.Position {
	for n := len(w.groups) - 1; n >= 0; n-- {
		g := w.groups[n]
		from := 0
		if g.first <= p {
			from = int(min(p-g.first+1, math.MaxInt32))
		}
		for i := from; i < len(g.signatures); i++ {
			if admits(masks, g.signatures[i]) && g.matches(q, i) {
				return g.first + driver.Position(i)
			}
		}
		if g.first <= p {
			break
		}
	}
	return 0
}

// admits reports whether an event with the signature may match.
func admits(masks []uint64, signature uint64) bool {
	if signature == 0 {
		return true
	}
	for _, m := range masks {
		if m&^signature == 0 {
			return true
		}
	}
	return false
}

// matches reports whether q matches record i of the group.
func (g *recent) matches(q driver.Query, i int) bool {
	end := len(g.buf)
	if i+1 < len(g.offsets) {
		end = int(g.offsets[i+1])
	}
	f, err := parseFrame(g.buf[g.offsets[i]:end], g.first+driver.Position(i))
	if err != nil {
		return true // it cannot happen; the caller would look into the log itself
	}
	var rec driver.Record
	var dec decoder
	return dec.event(f.body, &rec) != nil || q.Matches(&rec.Event)
}
