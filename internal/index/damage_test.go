package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"

	"github.com/annals-db/annals/driver"
)

func file(t testing.TB, m *Mem, extra []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Seal(&b, extra); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(b []byte) (*Sealed, error) {
	return OpenSealed(bytes.NewReader(b), int64(len(b)), NewCache(1<<20))
}

// answers is what a file says to a number of questions, each with its error if there is one.
func answers(s *Sealed, entries []Entry) (out []string) {
	say := func(seq iter.Seq2[Hit, error]) {
		text := ""
		for h, err := range seq {
			if err != nil {
				text = err.Error()
				if d := (*DamageError)(nil); !errors.As(err, &d) {
					text = "not a DamageError: " + text
				}
				break
			}
			text += fmt.Sprint(h)
		}
		out = append(out, text)
	}
	all := ^driver.Position(0)
	say(s.Select(driver.Query{}, 0, all, false))
	for i := 0; i < len(entries); i += 1 + len(entries)/40 {
		e := &entries[i]
		say(s.LastOf(e.Stream))
		say(s.FindID(e.ID))
		say(s.Select(driver.Query{Items: []driver.Item{{Types: []string{e.Type}}}}, 0, all, true))
		say(s.Select(driver.Query{Items: []driver.Item{{Tags: e.Tags, Category: "item"}}}, 0, all, false))
		low, high, err := s.AtOrBefore(e.Time)
		out = append(out, fmt.Sprint(low, high, err))
	}
	return out
}

func TestEveryFlippedByteIsFoundOrDoesNotMatter(t *testing.T) {
	rng := newRand(t)
	entries := segment(rng, 1, shape{n: 150, streams: 20, tags: 20, types: 2, mixed: true})
	m := memOf(rng, 1, entries)
	good := file(t, m, []byte("extra"))
	s, err := open(good)
	if err != nil {
		t.Fatal(err)
	}
	want := answers(s, entries)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << rng.IntN(8)
		s, err := open(bad)
		if err != nil {
			if d := (*DamageError)(nil); !errors.As(err, &d) {
				t.Fatalf("byte %d flipped: %v is not a *DamageError", i, err)
			}
			continue
		}
		for j, got := range answers(s, entries) {
			if got != want[j] && !bytes.Contains([]byte(got), []byte("damaged at byte")) {
				t.Fatalf("byte %d flipped: answer %d is %s, not %s", i, j, got, want[j])
			}
		}
		if err := s.Verify(m); err == nil {
			t.Fatalf("byte %d flipped: the file is verified", i)
		}
	}
}

func TestAFileCutShortOrGoingOnIsNotOpened(t *testing.T) {
	rng := newRand(t)
	good := file(t, memOf(rng, 1, segment(rng, 1, shape{n: 500, streams: 20, tags: 20, types: 2})), nil)
	for n := range good {
		if _, err := open(good[:n]); err == nil {
			t.Fatalf("%d bytes of %d are opened", n, len(good))
		}
	}
	for _, more := range []int{1, 4, 5, 4096} {
		if _, err := open(append(bytes.Clone(good), make([]byte, more)...)); err == nil {
			t.Fatalf("%d bytes more are opened", more)
		}
	}
}

func TestAPageOfAnotherPlaceOrFileIsFound(t *testing.T) {
	rng := newRand(t)
	sh := shape{n: 5000, streams: 20, tags: 2000, types: 2}
	entries := segment(rng, 1, sh)
	good, other := file(t, memOf(rng, 1, entries), nil), file(t, memOf(rng, 1, segment(rng, 1, sh)), nil)
	for name, page := range map[string][]byte{"the page after": good[2*pageSize : 3*pageSize], "a page of another file": other[pageSize : 2*pageSize]} {
		bad := bytes.Clone(good)
		copy(bad[pageSize:], page)
		s, err := open(bad)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, a := range answers(s, entries) {
			found = found || bytes.Contains([]byte(a), []byte("checksum"))
		}
		if !found {
			t.Errorf("%s in the place of a page was not found", name)
		}
	}
}

func TestVerifyFindsWhatTheSegmentDoesNotHold(t *testing.T) {
	rng := newRand(t)
	entries := segment(rng, 1, shape{n: 1000, streams: 20, tags: 20, types: 3})
	s := sealedOf(t, memOf(rng, 1, entries), []byte("extra"), nil)
	if err := s.Verify(memOf(rng, 1, entries)); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(e []Entry) []Entry{
		"a stream": func(e []Entry) []Entry { e[500].Stream = "item-new"; return e },
		"a type":   func(e []Entry) []Entry { e[500].Type += "0"; return e },
		"a tag":    func(e []Entry) []Entry { e[500].Tags = append(e[500].Tags, "more:1"); return e },
		"an ID":    func(e []Entry) []Entry { e[500].ID[15]++; return e },
		"an offset": func(e []Entry) []Entry {
			e[500].Offset++
			return e
		},
		"a record more": func(e []Entry) []Entry {
			more := e[len(e)-1]
			more.Position++
			return append(e, more)
		},
		"a record less": func(e []Entry) []Entry { return e[:len(e)-1] },
	}
	for name, change := range changes {
		err := s.Verify(memOf(rng, 1, change(append([]Entry(nil), entries...))))
		if d := (*DamageError)(nil); !errors.As(err, &d) {
			t.Errorf("with %s changed, Verify says %v", name, err)
		}
	}
}

// failing reads until it is told to fail.
type failing struct {
	io.ReaderAt
	err error
}

func (f *failing) ReadAt(b []byte, at int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

func TestAReadThatFailsIsReportedAndTriedAgain(t *testing.T) {
	rng := newRand(t)
	entries := segment(rng, 1, shape{n: 3000, streams: 200, tags: 20, types: 3})
	b := file(t, memOf(rng, 1, entries), nil)
	f := &failing{ReaderAt: bytes.NewReader(b)}
	s, err := OpenSealed(f, int64(len(b)), NewCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	f.err = errors.New("disk on fire")
	for _, err := range s.LastOf(entries[0].Stream) {
		if !errors.Is(err, f.err) {
			t.Fatalf("got %v", err)
		}
	}
	f.err = nil
	if len(collect(t, s.LastOf(entries[0].Stream))) == 0 {
		t.Error("after the failure the stream is not found")
	}
}

func TestSealRefusesRecordsOutOfOrder(t *testing.T) {
	for name, second := range map[string]Entry{"offset": {Position: 2, Offset: 9, Time: 5}, "time": {Position: 2, Offset: 11, Time: 4}} {
		m := NewMem(1)
		m.Add([]Entry{{Position: 1, Offset: 10, Time: 5, Type: "T"}, second})
		if m.Seal(io.Discard, nil) == nil {
			t.Errorf("a falling %s was sealed", name)
		}
	}
}
