package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

// small is a store at rest on which the table of corruptions works: 20 records,
// each a group of its own, in one segment.
type small struct {
	t      *testing.T
	dir    string
	id     driver.ID
	groups []int64 // offsets of the group headers, and the end
}

const smallRecords = 20

func newSmall(t *testing.T, segmentBytes int64) *small {
	t.Helper()
	s := &small{t: t, dir: filepath.Join(t.TempDir(), "log")}
	log, err := Open(s.dir, &Options{SegmentBytes: segmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	for n := range smallRecords {
		e := driver.Event{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(n)}), Stream: "item-1", Type: "Added", Data: []byte(strings.Repeat("x", 300))}
		if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // a full segment has the time to be sealed
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	s.id = log.logID
	if segmentBytes == 0 {
		s.findGroups(log.seed)
	}
	return s
}

func (s *small) segment(n int) string { return fmt.Sprintf("%s/log/%010d.seg", s.dir, n) }

func (s *small) findGroups(seed uint32) {
	b := s.read(s.segment(1))
	for at := int64(segmentHeaderSize); at < int64(len(b)); {
		h, n, err := parseGroupHeader(b[at:], seed)
		if err != nil {
			s.t.Fatal(err)
		}
		s.groups = append(s.groups, at)
		at += int64(n) + int64(h.size)
	}
	s.groups = append(s.groups, int64(len(b)))
	if len(s.groups) != smallRecords+1 {
		s.t.Fatalf("%d groups", len(s.groups)-1)
	}
}

func (s *small) read(name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *small) edit(name string, change func(b []byte) []byte) {
	if err := os.WriteFile(name, change(s.read(name)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// flip flips a bit in the record at p.
func (s *small) flip(p int) {
	s.edit(s.segment(1), func(b []byte) []byte { b[s.groups[p]-10] ^= 4; return b })
}

// markAt makes the mark say that the log is durable up to p and no further.
func (s *small) markAt(p int) {
	b := make([]byte, 2*markSlot)
	m := mark{sequence: 7, segment: 1, offset: s.groups[p], position: driver.Position(p), group: uint64(p)}
	copy(b, m.append(nil, s.id))
	s.edit(filepath.Join(s.dir, markName), func([]byte) []byte { return b })
}

func (s *small) noMark() {
	s.edit(filepath.Join(s.dir, markName), func(b []byte) []byte { clear(b); return b })
}

func TestRecovery(t *testing.T) {
	none := func(*small) {}
	tests := []struct {
		name    string
		damage  func(s *small)
		head    driver.Position
		corrupt driver.Position // 0: the store must open for appending
		torn    bool
	}{
		{"a store that was closed is as it was", none, 20, 0, false},
		{"zeros behind the end are nothing", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { return append(b, make([]byte, 9000)...) })
		}, 20, 0, false},
		{"garbage behind the end is a torn append", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { return append(b, "garbage"...) })
		}, 20, 0, true},
		{"garbage behind zeros behind the end is a torn append", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { return append(append(b, make([]byte, 9000)...), "garbage"...) })
		}, 20, 0, true},
		{"the last group damaged behind the mark is a torn append", func(s *small) { s.markAt(19); s.flip(20) }, 19, 0, true},
		{"the last group cut short behind the mark is a torn append", func(s *small) {
			s.markAt(19)
			s.edit(s.segment(1), func(b []byte) []byte { return b[:len(b)-20] })
		}, 19, 0, true},
		{"the last group's beginning zeroed behind the mark is a torn append", func(s *small) {
			s.markAt(19)
			s.edit(s.segment(1), func(b []byte) []byte { clear(b[s.groups[19]:][:40]); return b })
		}, 19, 0, true},
		{"the last group cut off behind the mark leaves no trace", func(s *small) {
			s.markAt(19)
			s.edit(s.segment(1), func(b []byte) []byte { return b[:s.groups[19]] })
		}, 19, 0, false},
		{"whole groups behind the mark are kept", func(s *small) { s.markAt(3) }, 20, 0, false},
		{"without a mark whole groups are kept", (*small).noMark, 20, 0, false},
		{"with one slot of the mark damaged the other counts", func(s *small) {
			s.edit(filepath.Join(s.dir, markName), func(b []byte) []byte { b[smallRecords&1*markSlot+20] ^= 1; return b })
		}, 20, 0, false},
		{"a missing mark is made again", func(s *small) {
			if err := os.Remove(filepath.Join(s.dir, markName)); err != nil {
				s.t.Fatal(err)
			}
		}, 20, 0, false},

		{"the last group damaged at the mark is corruption", func(s *small) { s.flip(20) }, 19, 20, false},
		{"the last group cut short at the mark is corruption", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { return b[:len(b)-20] })
		}, 19, 20, false},
		{"the last group missing at the mark is corruption", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { return b[:s.groups[19]] })
		}, 19, 20, false},
		{"damage before a later group is corruption, whatever the mark", func(s *small) { s.noMark(); s.flip(10) }, 9, 10, false},
		{"zeros before a later group are corruption, whatever the mark", func(s *small) {
			s.noMark()
			s.edit(s.segment(1), func(b []byte) []byte { clear(b[s.groups[9]:s.groups[10]]); return b })
		}, 9, 10, false},
		{"a group missing before a later one is corruption", func(s *small) {
			s.noMark()
			s.edit(s.segment(1), func(b []byte) []byte { return append(b[:s.groups[9]:s.groups[9]], b[s.groups[10]:]...) })
		}, 9, 10, false},
		{"a group in another's place is corruption", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { copy(b[s.groups[9]:s.groups[10]], b[s.groups[8]:s.groups[9]]); return b })
		}, 9, 10, false},
		{"a damaged segment header is corruption", func(s *small) {
			s.edit(s.segment(1), func(b []byte) []byte { b[33] ^= 1; return b })
		}, 0, 1, false},
		{"a missing segment is corruption", func(s *small) {
			if err := os.Remove(s.segment(1)); err != nil {
				s.t.Fatal(err)
			}
		}, 0, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSmall(t, 0)
			test.damage(s)
			before := s.read2(s.segment(1))
			log, err := Open(s.dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			s.check(log, test.head, test.corrupt)
			if got := log.Recovery(); test.torn != (got.TornBytes > 0) || test.torn != (got.Aside != "") {
				t.Errorf("Recovery: %+v", got)
			}
			if test.corrupt != 0 {
				if string(s.read2(s.segment(1))) != string(before) {
					t.Error("opening a corrupt store has changed it")
				}
				return
			}
			s.goesOn(log, test.head)
		})
	}
}

// read2 is read, of a file that may be missing.
func (s *small) read2(name string) []byte {
	b, _ := os.ReadFile(name)
	return b
}

// check checks what can be read, and that corruption is named.
func (s *small) check(log *Store, head, corrupt driver.Position) {
	s.t.Helper()
	info, err := log.Info(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	if info.Head != head {
		s.t.Errorf("the head is %d, want %d", info.Head, head)
	}
	var last driver.Position
	var ended error
	for r, err := range log.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
		if ended = err; err == nil {
			last = r.Position
		}
	}
	if last != head {
		s.t.Errorf("the last record read is %d, want %d", last, head)
	}
	var damage *driver.CorruptError
	if corrupt == 0 {
		if ended != nil || info.ReadOnly != "" {
			s.t.Errorf("reading ended with %v, read-only: %q", ended, info.ReadOnly)
		}
		return
	}
	if !errors.As(ended, &damage) || damage.Position != corrupt {
		s.t.Errorf("reading ended with %v, want corruption at %d", ended, corrupt)
	}
	if info.ReadOnly == "" {
		s.t.Error("the store is not read-only")
	}
	found := false
	for err := range log.Verify(context.Background(), nil) {
		found = found || errors.As(err, &damage) && damage.Position == corrupt
	}
	if !found {
		s.t.Errorf("Verify does not name position %d", corrupt)
	}
	e := driver.Event{ID: uuid.New(), Stream: "item-1", Type: "Added"}
	if _, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}}); !errors.Is(err, driver.ErrReadOnly) {
		s.t.Errorf("an append to a corrupt store: %v", err)
	}
}

// goesOn appends, reopens and checks that what was cleared away stays away.
func (s *small) goesOn(log *Store, head driver.Position) {
	s.t.Helper()
	e := driver.Event{ID: uuid.New(), Stream: "item-1", Type: "Added", Data: []byte("1")}
	r, err := log.Append(context.Background(), driver.Batch{Events: []driver.Event{e}})
	if err != nil || r.First != head+1 || r.Versions[0] != uint64(head)+1 {
		s.t.Fatalf("an append afterwards: %+v, %v", r, err)
	}
	if err := log.Close(); err != nil {
		s.t.Fatal(err)
	}
	again, err := Open(s.dir, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer again.Close()
	s.check(again, head+1, 0)
	if got := again.Recovery(); got.TornBytes != 0 {
		s.t.Errorf("something was torn again: %+v", got)
	}
	for err := range again.Verify(context.Background(), nil) {
		s.t.Errorf("Verify: %v", err)
	}
}

func TestIndexFilesThatAreMissingOrDamagedAreMadeAgain(t *testing.T) {
	for name, damage := range map[string]func(s *small, name string){
		"missing": func(s *small, name string) {
			if err := os.Remove(name); err != nil {
				s.t.Fatal(err)
			}
		},
		"damaged": func(s *small, name string) {
			s.edit(name, func(b []byte) []byte { b[len(b)-3] ^= 1; return b })
		},
		"cut short": func(s *small, name string) {
			s.edit(name, func(b []byte) []byte { return b[:len(b)/2] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmall(t, minSegmentBytes)
			indexes, err := filepath.Glob(s.dir + "/log/*.idx")
			if err != nil || len(indexes) == 0 {
				t.Fatalf("%d index files, %v", len(indexes), err)
			}
			for _, name := range indexes {
				damage(s, name)
			}
			log, err := Open(s.dir, &Options{SegmentBytes: minSegmentBytes})
			if err != nil {
				t.Fatal(err)
			}
			s.check(log, smallRecords, 0)
			s.goesOn(log, smallRecords)
		})
	}
}

func TestASegmentMissingBetweenOthersIsCorruption(t *testing.T) {
	s := newSmall(t, minSegmentBytes)
	if err := os.Remove(s.segment(1)); err != nil {
		t.Fatal(err)
	}
	log, err := Open(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.check(log, 0, 1)
}

func TestTheSegmentsAfterASealedOneMissingIsCorruption(t *testing.T) {
	s := newSmall(t, minSegmentBytes)
	s.noMark()
	if err := os.Remove(s.segment(2)); err != nil {
		t.Fatal(err)
	}
	log, err := Open(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if info, err := log.Info(context.Background()); err != nil || !strings.Contains(info.ReadOnly, "missing") {
		t.Errorf("%+v, %v", info, err)
	}
}
