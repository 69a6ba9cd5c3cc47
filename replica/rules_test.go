package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
	"github.com/annals-db/annals/internal/quorum"
)

// taking returns a node without a cluster, to be handed the messages of a stream.
func taking(t *testing.T) *Store {
	s := &Store{opts: (*Options)(nil).withDefaults(), id: newNodeID(), logID: goldenLog, changed: make(chan struct{})}
	var err error
	s.log, err = filestore.Open(t.TempDir(), &filestore.Options{LogID: goldenLog, Order: &quorum.Order{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	if err := s.begin(context.Background(), 0, 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// takeAll hands over messages from sequence 1 on and says what came of each.
func takeAll(s *Store, messages [][]byte) string {
	var said strings.Builder
	for i, data := range messages {
		foreign := s.foreign
		err := s.take(context.Background(), uint64(i+1), data)
		verdict := fmt.Sprintf("position %d, tree head %x, epoch %d", s.tail.head, s.tail.root[:8], s.tail.epoch)
		switch {
		case err != nil:
			verdict = "stops: " + strings.ReplaceAll(err.Error(), s.log.Dir(), "DIR")
		case s.foreign > foreign:
			verdict = "passed over"
		}
		fmt.Fprintf(&said, "%d: %s\n", i+1, verdict)
		if err != nil {
			break
		}
	}
	return said.String()
}

// The rules by which nodes judge messages are part of the format: if two nodes
// judged alike messages otherwise, their logs would differ.
func TestRulesOfVersion1(t *testing.T) {
	a := newAuthor()
	var stream [][]byte
	add := func(messages ...[]byte) {
		stream = append(stream, messages...)
		a.seq = uint64(len(stream))
	}
	add(a.claim(7))
	add(a.group(1<<20, goldenRecord(1), goldenRecord(2))...)
	add([]byte("from outside"))
	add(stream[1])                                    // a copy of what is there
	add(a.group(100, goldenRecord(3))...)             // in parts
	parts := newAuthorAt(a).group(100, fullRecord(4)) // its author goes in the middle
	add(parts[0], parts[1])
	add(a.claim(9))
	add(parts[2]) // and comes too late
	other := *a
	other.tree = a.tree.Clone()
	stale := other.group(1<<20, goldenRecord(4))
	add(a.claim(12))
	add(stale...) // decided before the claim
	add(a.group(1<<20, goldenRecord(4))...)
	flipped := []byte(string(stream[len(stream)-1]))
	flipped[100] ^= 1
	add(flipped)
	add(a.group(1<<20, goldenRecord(5))...)
	for i, data := range stream {
		golden(t, fmt.Sprintf("rules-1-%02d", i+1), data)
	}
	got := takeAll(taking(t), stream)
	const want = `1: position 0, tree head e3b0c44298fc1c14, epoch 7
2: position 2, tree head 29acd5d1e7fc0c4f, epoch 7
3: passed over
4: passed over
5: position 2, tree head 29acd5d1e7fc0c4f, epoch 7
6: position 3, tree head 5d832e144cba9fe2, epoch 7
7: position 3, tree head 5d832e144cba9fe2, epoch 7
8: position 3, tree head 5d832e144cba9fe2, epoch 7
9: position 3, tree head 5d832e144cba9fe2, epoch 9
10: passed over
11: position 3, tree head 5d832e144cba9fe2, epoch 12
12: passed over
13: position 4, tree head 90dfe3e3e8915f9f, epoch 12
14: passed over
15: position 5, tree head f0da269db480c72c, epoch 12
`
	if got != want {
		t.Errorf("the stream is judged\n%swant\n%s", got, want)
	}
}

func newAuthorAt(a *author) *author { return &author{a.seq, a.epoch, a.tree.Clone()} }

func TestANodeThatDiffersStopsAndSaysWhere(t *testing.T) {
	for _, c := range []struct {
		name, want string
		next       func(a *author) []byte
	}{
		{"another tree head", "differs from the cluster's", func(a *author) []byte {
			a.tree = newAuthorAt(a).tree
			m := a.message(groupKind, nil)
			m.head[3] ^= 1
			return m.append(nil)
		}},
		{"a gap", "differs from the cluster's", func(a *author) []byte {
			m := a.message(groupKind, nil)
			m.first += 2
			return m.append(nil)
		}},
		{"an older epoch", "is of epoch 6 while epoch 7 lasts", func(a *author) []byte {
			a.epoch = 6
			return a.group(1<<20, goldenRecord(3))[0]
		}},
		{"a claim that is not newer", "is of epoch 7 while epoch 7 lasts", func(a *author) []byte { return a.claim(7) }},
		{"records that do not give the tree head named", "do not give the tree head", func(a *author) []byte {
			m := a.message(groupKind, appendGroup(nil, []driver.Record{goldenRecord(3)}))
			return m.append(nil)
		}},
		{"a group that makes no sense", errDecode.Error(), func(a *author) []byte {
			m := a.message(groupKind, []byte{1, 2, 3})
			return m.append(nil)
		}},
		{"a part before the one before it", "part 1 of a group comes where part 0 should", func(a *author) []byte {
			m := a.message(groupKind, nil)
			m.part, m.parts = 1, 2
			return m.append(nil)
		}},
		{"a version to come", "upgrade this node", func(a *author) []byte {
			data := a.group(1<<20, goldenRecord(3))[0]
			data[4] = 2
			return data
		}},
		{"a version of a stream that is not the next", "invalid version", func(a *author) []byte {
			r := goldenRecord(3)
			r.Version = 9
			return a.group(1<<20, r)[0]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, a := taking(t), newAuthor()
			messages := append([][]byte{a.claim(7)}, a.group(1<<20, goldenRecord(1), goldenRecord(2))...)
			got := takeAll(s, append(messages, c.next(a)))
			if !strings.Contains(got, "3: stops: ") || !strings.Contains(got, c.want) {
				t.Errorf("it is judged\n%s", got)
			}
			if info, err := s.log.Info(context.Background()); err != nil || info.Head != 2 {
				t.Errorf("the copy is at %d, %v", info.Head, err)
			}
		})
	}
}

func TestAMessageOutOfTurnIsNotTaken(t *testing.T) {
	s, a := taking(t), newAuthor()
	first, second := a.claim(7), a.claim(8)
	if err := s.take(context.Background(), 2, second); !errors.Is(err, errGap) {
		t.Errorf("a gap is answered with %v", err)
	}
	for i, data := range [][]byte{first, second} {
		if err := s.take(context.Background(), uint64(i+1), data); err != nil {
			t.Error(err)
		}
	}
	if err := s.take(context.Background(), 2, second); !errors.Is(err, errGap) {
		t.Errorf("a message taken already is answered with %v", err)
	}
}

// A copy that ends in the middle of a group, or ahead of the stream, takes the
// rest and compares what it has.
func TestACopyThatIsAheadIsCompared(t *testing.T) {
	s, a := taking(t), newAuthor()
	records := []driver.Record{goldenRecord(1), goldenRecord(2), goldenRecord(3)}
	if err := s.log.Import(context.Background(), records[:2]); err != nil {
		t.Fatal(err)
	}
	got := takeAll(s, append([][]byte{a.claim(7)}, a.group(1<<20, records...)...))
	if !strings.Contains(got, "2: position 3") {
		t.Errorf("it is judged\n%s", got)
	}
	s, a = taking(t), newAuthor()
	if err := s.log.Import(context.Background(), records[:2]); err != nil {
		t.Fatal(err)
	}
	records[1].Data = []byte(`{}`)
	got = takeAll(s, append([][]byte{a.claim(7)}, a.group(1<<20, records...)...))
	if !strings.Contains(got, "2: stops: ") || !strings.Contains(got, "differs from the cluster's between this position and 2") {
		t.Errorf("it is judged\n%s", got)
	}
}
