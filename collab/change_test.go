package collab

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func randomText(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for range rnd.IntN(n + 1) {
		b.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	return b.String()
}

func randomChange(rnd *rand.Rand, length int) Change {
	var b builder
	for at := 0; at < length; {
		n := 1 + rnd.IntN(min(5, length-at))
		switch rnd.IntN(3) {
		case 0:
			b.keep(n)
			at += n
		case 1:
			b.delete(n)
			at += n
		default:
			b.insert(pieces[rnd.IntN(len(pieces))])
		}
	}
	return b.change()
}

func TestChangesKeepTheirLaws(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		text := NewText(randomText(rnd, 40))
		do := func(t0 Text, c Change) Text {
			t.Helper()
			after, err := t0.Apply(c)
			if err != nil || after.String() != string(apply([]rune(t0.String()), c)) || after.Len() != utf8.RuneCountInString(after.String()) {
				t.Fatalf("seed %d: %v on %q gives %q, %v", seed, c, t0.String(), after.String(), err)
			}
			return after
		}
		a, b := randomChange(rnd, text.Len()), randomChange(rnd, text.Len())
		afterA, afterB := do(text, a), do(text, b)
		a2, b2 := Transform(a, b)
		if do(afterA, b2).String() != do(afterB, a2).String() {
			t.Fatalf("seed %d: transformed ways do not meet", seed)
		}
		next := randomChange(rnd, afterA.Len())
		if do(text, a.Compose(next)).String() != do(afterA, next).String() {
			t.Fatalf("seed %d: %v and %v composed is %v", seed, a, next, a.Compose(next))
		}
		if do(afterA, text.Invert(a)).String() != text.String() {
			t.Fatalf("seed %d: the inverse of %v does not take it back", seed, a)
		}
		if got := do(text, Diff(text.String(), afterA.String())); got.String() != afterA.String() {
			t.Fatalf("seed %d: the difference gives %q, want %q", seed, got.String(), afterA.String())
		}
		data, err := json.Marshal(a)
		var back Change
		if err != nil || json.Unmarshal(data, &back) != nil || !back.Equal(a) {
			t.Fatalf("seed %d: %v is %s and comes back as %v (%v)", seed, a, data, back, err)
		}
		whole := Change(nil)
		for c, most := a, 1+rnd.IntN(4); len(c) > 0; {
			var part Change
			part, c = c.split(most)
			if _, n, _ := part.Counts(); n > most {
				t.Fatalf("seed %d: a part of %v inserts %d code points, more than %d", seed, a, n, most)
			}
			whole = whole.Compose(part)
		}
		if !whole.Equal(a) {
			t.Fatalf("seed %d: the parts of %v make %v", seed, a, whole)
		}
		checkUnits(t, seed, rnd, text, a)
	}
}

// checkUnits compares the counts in UTF-16 with what the standard library says.
func checkUnits(t *testing.T, seed uint64, rnd *rand.Rand, text Text, c Change) {
	t.Helper()
	wire := text.toWire(c, UTF16)
	units := utf16.Encode([]rune(text.String()))
	var out []uint16
	rest := units
	for _, op := range wire {
		out = append(out, utf16.Encode([]rune(op.Insert))...)
		out = append(out, rest[:op.Keep]...)
		rest = rest[op.Keep+op.Delete:]
	}
	after, _ := text.Apply(c)
	if got := string(utf16.Decode(append(out, rest...))); got != after.String() {
		t.Fatalf("seed %d: %v in UTF-16 gives %q, want %q", seed, wire, got, after.String())
	}
	if back, err := text.fromWire(wire, UTF16); err != nil || !back.Equal(c) {
		t.Fatalf("seed %d: %v comes back from UTF-16 as %v, %v", seed, c, back, err)
	}
	for at := range len(units) + 2 {
		half := at > 0 && at < len(units) && utf16.IsSurrogate(rune(units[at])) && utf16.DecodeRune(rune(units[at-1]), rune(units[at])) != utf8.RuneError
		got, err := text.positionFromWire(at, UTF16)
		var wrong *PositionError
		switch {
		case half || at > len(units):
			if !errors.As(err, &wrong) || wrong.Half != half {
				t.Fatalf("seed %d: position %d of %q: %v", seed, at, text.String(), err)
			}
			if _, err := text.fromWire(Insert(at, "x"), UTF16); !errors.As(err, &wrong) {
				t.Fatalf("seed %d: an insert at %d of %q: %v", seed, at, text.String(), err)
			}
		case err != nil || text.positionToWire(got, UTF16) != at:
			t.Fatalf("seed %d: position %d of %q is %d, %v", seed, at, text.String(), got, err)
		}
	}
}

func TestALongTextIsSharedBetweenItsVersions(t *testing.T) {
	text := NewText(strings.Repeat("0123456789é😀", 50_000))
	after, err := text.Apply(Replace(300_000, 5, "new"))
	if err != nil {
		t.Fatal(err)
	}
	same := map[*byte]bool{}
	for _, c := range text.chunks {
		same[bytesOf(c.s)] = true
	}
	fresh := 0
	for _, c := range after.chunks {
		if !same[bytesOf(c.s)] {
			fresh += len(c.s)
		}
	}
	if fresh > 3*chunkBytes {
		t.Errorf("a small change made %d new bytes of %d", fresh, len(text.String()))
	}
}

func TestACaretGoesAlong(t *testing.T) {
	for _, c := range []struct {
		change          Change
		at, stays, goes int
	}{
		{Insert(3, "ab"), 2, 2, 2},
		{Insert(3, "ab"), 3, 3, 5},
		{Insert(3, "ab"), 4, 6, 6},
		{Delete(2, 3), 4, 2, 2},
		{Delete(2, 3), 9, 6, 6},
		{Replace(2, 3, "xy"), 4, 4, 4},
		{Replace(0, 3, "xy"), 0, 0, 2},
		{nil, 7, 7, 7},
	} {
		if a, b := c.change.Map(c.at, false), c.change.Map(c.at, true); a != c.stays || b != c.goes {
			t.Errorf("%v takes %d to %d and %d, want %d and %d", c.change, c.at, a, b, c.stays, c.goes)
		}
	}
}

// What two write at once in one place stays in one piece each, whoever's
// letters arrive when.
func TestWhatTwoWriteAtOnePlaceDoesNotMix(t *testing.T) {
	s := newSite(t, nil, nil)
	doc := s.doc()
	a := &session{author: "ann", client: "a"}
	b := &session{author: "bob", client: "b"}
	for i := range 3 { // letter by letter, each before it knows of the other's
		ok(t, a.edit(Insert(i, "abc"[i:i+1]), Typed, moment))
		ok(t, b.edit(Insert(i, "xyz"[i:i+1]), Typed, moment))
	}
	for range 3 {
		for _, p := range []*session{b, a} {
			next, _ := p.next()
			_, err := doc.Submit(t.Context(), next)
			ok(t, err)
			edits, _, err := doc.since(t.Context(), p.version)
			ok(t, err)
			for _, e := range edits {
				_, err := p.receive(e.Edit)
				ok(t, err)
			}
		}
	}
	if text, _ := doc.Text(); text.String() != "abcxyz" {
		t.Errorf("%q", text.String())
	}
}

func FuzzChange(f *testing.F) {
	for _, seed := range []string{`[]`, `[5,"abc",-2]`, `["\ud83d\ude00",-1]`, `[0]`, `[[1]]`, `null`, `["\ud83d"]`, `[1e3]`, `[1,2,"a","b",-1,-2]`} {
		f.Add([]byte(seed))
	}
	text := NewText("some 😀 text")
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Change
		if c.UnmarshalJSON(data) != nil {
			return
		}
		back, err := c.MarshalJSON()
		var again Change
		if err != nil || again.UnmarshalJSON(back) != nil || !again.Equal(c) {
			t.Fatalf("%s is %v and comes back as %s", data, c, back)
		}
		for _, u := range []Units{CodePoints, UTF16} {
			if points, err := text.fromWire(c, u); err == nil {
				if after, err := text.Apply(points); err != nil || !utf8.ValidString(after.String()) {
					t.Fatalf("%s on %q: %v", data, text.String(), err)
				}
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"type":"hello","units":"utf-16","client":"x","since":3}`))
	f.Add([]byte(`{"type":"edit","seq":1,"base":2,"change":[1,"x"],"kind":"undo","joins":true}`))
	f.Add([]byte(`{"type":"caret","base":1,"anchor":3,"head":4}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := decodeInbound(data)
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
	})
}
