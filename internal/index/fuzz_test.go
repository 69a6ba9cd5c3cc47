package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/annals-db/annals/driver"
)

// contents are those of a few valid files.
func contents(t testing.TB) (out [][]byte) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, sh := range []shape{
		{n: 0, streams: 1, tags: 1, types: 1}, {n: 5, streams: 2, tags: 2, types: 1},
		{n: 100, streams: 9, tags: 30, types: 2, mixed: true}, {n: 300, streams: 1, tags: 100, types: 1}, {n: 300, streams: 200, tags: 100, types: 1, randomIDs: true},
	} {
		content, _, err := memOf(rng, 1, segment(rng, 1, sh)).image([]byte("extra"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, content)
	}
	return out
}

// openContent opens a file of any content, with the checksums made right,
// since those keep all but the first decoder from seeing anything else.
func openContent(t *testing.T, content []byte) (*Sealed, error) {
	seed := uint64(0)
	if len(content) >= 48 {
		seed = binary.LittleEndian.Uint64(content[40:])
	}
	var b bytes.Buffer
	if err := writePages(&b, content, seed); err != nil {
		t.Fatal(err)
	}
	return open(b.Bytes())
}

func FuzzSealed(f *testing.F) {
	for _, content := range contents(f) {
		f.Add(content, "item-1", uint64(50))
	}
	f.Fuzz(func(t *testing.T, content []byte, name string, at uint64) {
		if s, err := open(content); err == nil {
			ask(t, s, name, at)
		}
		if s, err := openContent(t, content); err == nil {
			ask(t, s, name, at)
		}
	})
}

// FuzzSealedPatched changes bytes of valid files.
func FuzzSealedPatched(f *testing.F) {
	valid := contents(f)
	for i := range valid {
		f.Add(i, 300, []byte{1, 2, 3}, "item-1", uint64(50))
	}
	f.Fuzz(func(t *testing.T, which, offset int, patch []byte, name string, at uint64) {
		if which < 0 || offset < 0 {
			return
		}
		content := bytes.Clone(valid[which%len(valid)])
		copy(content[offset%len(content):], patch)
		if s, err := openContent(t, content); err == nil {
			ask(t, s, name, at)
		}
	})
}

func TestChangedContentNeverBringsTheReaderDown(t *testing.T) {
	rng := newRand(t)
	valid := contents(t)
	for range 5000 {
		content := bytes.Clone(valid[rng.IntN(len(valid))])
		for range 1 + rng.IntN(4) {
			content[headerSize+rng.IntN(len(content)-headerSize)] = byte(rng.Uint32() >> rng.IntN(8))
		}
		if s, err := openContent(t, content); err == nil {
			ask(t, s, fmt.Sprintf("item-%d", rng.IntN(20)), rng.Uint64N(400))
		}
	}
}

// ask asks s everything; it is enough that answers come, in the segment.
func ask(t *testing.T, s *Sealed, name string, at uint64) {
	few := func(seq iter.Seq2[Hit, error]) {
		n := 0
		for h, err := range seq {
			if err == nil && (h.Position < s.First() || h.Position > s.Last()) {
				t.Fatalf("position %d is a hit in the segment from %d to %d", h.Position, s.First(), s.Last())
			}
			if n++; err != nil || n == 200 {
				return
			}
		}
	}
	few(s.LastOf(name))
	var id driver.ID
	binary.BigEndian.PutUint64(id[:], at)
	id[6] = 0x70
	few(s.FindID(id))
	_, _ = s.Offset(s.First() + driver.Position(at))
	_, _, _ = s.AtOrBefore(int64(at))
	for _, backward := range []bool{false, true} {
		for _, i := range []driver.Item{{}, {Streams: []string{name, "item-0"}}, {Types: []string{name, "Type0"}}, {Tags: []string{name}}, {Tags: []string{"item:0"}, Types: []string{"Type0"}}, {Category: "item"}} {
			few(s.Select(driver.Query{Items: []driver.Item{i}}, driver.Position(at), ^driver.Position(0), backward))
			few(s.Select(driver.Query{Items: []driver.Item{i}}, 0, s.First()+driver.Position(at), backward))
		}
	}
}

// FuzzBits writes numbers in every form and reads them back.
func FuzzBits(f *testing.F) {
	f.Add(uint64(5), uint64(300), uint8(3))
	f.Fuzz(func(t *testing.T, a, b uint64, k uint8) {
		width, count := uint(k%57), 1+b%(1<<32)
		a &= 1<<width - 1
		short := width - min(width, 9) // keeps the unary part short
		var w bitWriter
		w.write(a, width)
		w.gamma(count)
		w.rice(a, short)
		w.unary(b % 300)
		r := bitReader{buf: w.flush()}
		if got := r.read(width); got != a {
			t.Errorf("read %d, wrote %d in %d bits", got, a, width)
		}
		if got := r.gamma(); got != count {
			t.Errorf("read gamma %d, wrote %d", got, count)
		}
		if got := r.rice(short); got != a {
			t.Errorf("read rice %d, wrote %d with %d", got, a, short)
		}
		if got := r.unary(); got != b%300 || r.short {
			t.Errorf("read unary %d, wrote %d", got, b%300)
		}
		if r.at > w.len() || r.at+7 < w.len() {
			t.Errorf("read %d bits, wrote %d", r.at, w.len())
		}
		if r.skip(8); !r.short {
			t.Error("reading past the end goes unnoticed")
		}
	})
}
