package replica

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/merkle"
	"github.com/annals-db/annals/internal/quorum"
)

var update = flag.Bool("update", false, "write the golden files anew")

var goldenLog = uuid.MustParse("018f4e3a-7b1c-7def-8123-0000000000ff")

func goldenRecord(p driver.Position) driver.Record {
	id := uuid.MustParse("018f4e3a-7b1c-7def-8123-456789abcdef")
	id[0] = byte(p)
	return driver.Record{
		Event:    driver.Event{ID: id, Stream: "item-laptop", Type: "ItemCreated", Data: fmt.Appendf(nil, `{"Name":"Laptop %d"}`, p)},
		Position: p, Version: uint64(p), Batch: p, Time: time.Unix(1_700_000_000, int64(p)).UTC(),
	}
}

// fullRecord has something in every field.
func fullRecord(p driver.Position) driver.Record {
	r := goldenRecord(p)
	r.Encoding = "cbor+zstd"
	r.Occurred = time.Unix(1_600_000_000, 1).UTC()
	r.Tags = []string{"item:laptop", "region:eu"}
	r.Metadata = driver.Metadata{{Key: "actor", Value: "ann"}, {Key: "reason", Value: ""}}
	r.Conditions = []driver.Condition{
		driver.StreamAt("item-laptop", 2),
		driver.StreamAbsent("item-phone"),
		driver.StreamPresent("item-laptop"),
		driver.NoneAfter(driver.Query{Items: []driver.Item{{
			Types: []string{"A", "B"}, Tags: []string{"item:laptop"}, Streams: []string{"s-1"}, Category: "item", IDs: []driver.ID{r.ID},
		}, {Category: "cart"}}}, 9),
	}
	return r
}

// golden compares b with a golden file, as a dump of hexadecimal bytes.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".hex")
	got := hex.Dump(b)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s is no longer\n%s\nbut\n%s", name, want, got)
	}
}

// author writes messages as a node that has taken in all before them would.
type author struct {
	seq   uint64
	epoch uint64
	tree  *merkle.Range
}

func (a *author) message(kind byte, body []byte) message {
	root, _ := a.tree.Root()
	return message{kind: kind, logID: goldenLog, epoch: a.epoch, after: a.seq, first: driver.Position(a.tree.End()) + 1, head: root, parts: 1, body: body}
}

func (a *author) claim(epoch uint64) []byte {
	a.epoch = epoch
	m := a.message(claimKind, claim{nodeID{1, 2, 3}, "north"}.append(nil))
	a.seq++
	return m.append(nil)
}

// group returns the messages of a group in parts of size bytes.
func (a *author) group(size int, records ...driver.Record) (out [][]byte) {
	m := a.message(groupKind, nil)
	var h merkle.Hasher
	for i := range records {
		a.tree.Append(h.Leaf(&records[i]))
	}
	body := appendGroup(nil, records)
	root, _ := a.tree.Root()
	copy(body, root[:])
	m.parts = uint32((len(body) + size - 1) / size)
	for ; m.part < m.parts; m.part++ {
		m.body, body = body[:min(size, len(body))], body[min(size, len(body)):]
		out = append(out, m.append(nil))
		m.after++
		a.seq++
	}
	return out
}

func newAuthor() *author { return &author{tree: merkle.NewRange(0)} }

func TestMessagesAreLaidOutAsDrawn(t *testing.T) {
	a := newAuthor()
	golden(t, "claim", a.claim(7))
	second := fullRecord(2)
	third := goldenRecord(3)
	third.Batch, third.Time = 2, second.Time
	golden(t, "group", a.group(1<<20, goldenRecord(1), second, third)[0])
	f := forward{node: nodeID{1, 2, 3}, epoch: 7, session: 2, number: 5, parts: 1}
	f.body = appendBatch(nil, &driver.Batch{Events: []driver.Event{second.Event, third.Event}, Conditions: second.Conditions, Time: second.Time})
	golden(t, "forward", f.append(nil))
}

func TestGroupsComeBackAsTheyWere(t *testing.T) {
	second, third := fullRecord(2), goldenRecord(3)
	third.Batch, third.Time = 2, second.Time
	want := []driver.Record{goldenRecord(1), second, third, goldenRecord(4)}
	g, err := parseGroup(appendGroup(nil, want), 1)
	if err != nil || !reflect.DeepEqual(g.records, want) {
		t.Errorf("parseGroup returned %+v and %v, want %+v", g.records, err, want)
	}
	b := driver.Batch{Events: []driver.Event{second.Event, third.Event}, Conditions: second.Conditions, Time: second.Time}
	batches, err := parseBatches(appendBatch(appendBatch(nil, &b), &b))
	if err != nil || !reflect.DeepEqual(batches, []driver.Batch{b, b}) {
		t.Errorf("parseBatches returned %+v and %v", batches, err)
	}
}

func TestAnswersComeBackAsTheyWere(t *testing.T) {
	r := fullRecord(2)
	b := driver.Batch{Events: []driver.Event{r.Event}, Conditions: r.Conditions}
	for _, want := range []answer{
		{receipt: driver.Receipt{First: 2, Last: 2, Time: r.Time, Versions: []uint64{5}, Repeated: true}},
		{err: &driver.ConflictError{Condition: r.Conditions[3], Index: 3, Head: 12, Position: 11}},
		{err: &driver.ConflictError{Condition: r.Conditions[0], Head: 12, Version: 4}},
		{err: &driver.IDError{ID: r.ID, Position: 9, Reason: "why"}},
		{err: &driver.InvalidError{Index: -1, Field: "time", Reason: "why"}},
		{err: &driver.LimitError{Index: 3, What: "event bytes", Limit: 1, Got: 2}},
		{err: &driver.PositionError{What: "position 12", Head: 3}},
		{err: quorum.ErrNotLeading},
	} {
		d := decoder{b: appendAnswer(nil, want)}
		if got := d.answer(&b); d.end() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v, %v", want, got, d.end())
		}
	}
	for _, err := range []error{driver.ErrUnavailable, fmt.Errorf("%w: late", quorum.ErrNotLeading)} {
		d := decoder{b: appendAnswer(nil, answer{err: err})}
		if got := d.answer(&b); mayBeTaken(got.err) != mayBeTaken(err) || got.err == nil {
			t.Errorf("%v came back as %v", err, got.err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	a := newAuthor()
	f.Add(a.claim(7))
	for _, m := range a.group(200, goldenRecord(1), fullRecord(2)) {
		f.Add(m)
	}
	fw := forward{parts: 1, body: appendBatch(nil, &driver.Batch{Events: []driver.Event{fullRecord(2).Event}})}
	f.Add(fw.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMessage(b); err == nil {
			if !bytes.Equal(m.append(nil), b) {
				t.Error("a message is written otherwise than it was read")
			}
			_, _ = parseClaim(m.body)
			_, _ = parseGroup(m.body, m.first)
		}
		if g, err := parseGroup(b, 1); err == nil {
			if again, err := parseGroup(appendGroup(nil, g.records), 1); err != nil || !reflect.DeepEqual(again.records, g.records) {
				t.Errorf("a group came back as %+v, %v", again, err)
			}
		}
		if fw, err := parseForward(b); err == nil {
			_, _ = parseBatches(fw.body)
		}
		_, _ = parseBatches(b)
		d := decoder{b: b}
		_ = d.answer(&driver.Batch{Events: make([]driver.Event, 1), Conditions: make([]driver.Condition, 1)})
		_, _, _ = splitValue(b)
	})
}
