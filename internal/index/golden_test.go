package index

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/annals-db/annals/driver"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenSegment needs no source of chance, so that it is the same for ever.
func goldenSegment() []Entry {
	entries := make([]Entry, 400)
	for i := range entries {
		e := &entries[i]
		*e = Entry{
			Position: driver.Position(1001 + i), Offset: int64(64 + i*i), Time: 1_700_000_000_000_000_000 + int64(i/10)*1_000_000,
			Stream: fmt.Sprintf("item-%d", i*i%23), Version: 1, Type: fmt.Sprintf("Type%d", i%3), Tags: []string{fmt.Sprintf("item:%d", i%50)},
		}
		switch i % 7 {
		case 3:
			e.Stream = ""
		case 5:
			e.Stream = "bare"
		}
		ms := uint64(e.Time / 1_000_000)
		e.ID = driver.ID{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms), 0x70, byte(i), 0x80, byte(i >> 8)}
		if i%20 == 0 {
			e.ID[6] = 0x50
		}
	}
	return entries
}

func TestTheFormatStaysWhatItWas(t *testing.T) {
	const name = "testdata/segment.index"
	m := NewMem(1001)
	m.Add(goldenSegment())
	got := file(t, m, []byte("extra bytes"))
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the index file of the golden segment is not that of %s", name)
	}
	s, err := open(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.Extra()) != "extra bytes" || s.First() != 1001 || s.Last() != 1400 || s.Len() != 400 {
		t.Errorf("it holds %d records from %d to %d and %q", s.Len(), s.First(), s.Last(), s.Extra())
	}
	n := naive{1001, goldenSegment()}
	n.compareLookups(t, newRand(t), m, s)
}

// The hashes were computed apart from the code, from its description.
func TestHashIsTheOneDescribed(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		text string
		want uint64
	}{
		{0, "", 0x670527f286862c69},
		{0, "a", 0xee4cf8ef88f8ccc4},
		{1, "a", 0xf86b2443ee6752e6},
		{7, "item-laptop", 0x27dd1f4201adaeb4},
		{9223372036854775808, "exactly8", 0xad715ceeda6ded50},
		{12345, "a name of more than sixteen bytes", 0x1d295caffe3276dd},
	} {
		if got := hash(c.seed, c.text); got != c.want {
			t.Errorf("hash of %q with seed %d is %#x, not %#x", c.text, c.seed, got, c.want)
		}
	}
}
