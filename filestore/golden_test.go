package filestore

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

var update = flag.Bool("update", false, "write the golden files anew")

func goldenRecords() (plain, full driver.Record) {
	plain = driver.Record{
		Event: driver.Event{
			ID: uuid.MustParse("018f4e3a-7b1c-7def-8123-456789abcdef"), Stream: "item-laptop", Type: "ItemCreated",
			Data: []byte(`{"Name":"Laptop"}`),
		},
		Position: 1, Version: 1, Time: time.Unix(1_700_000_000, 7).UTC(), Batch: 1,
	}
	full = plain
	full.Position, full.Version, full.Batch = 12, 3, 12
	full.Encoding = "cbor+zstd"
	full.Occurred = time.Unix(1_600_000_000, 1).UTC()
	full.Tags = []string{"item:laptop", "region:eu"}
	full.Metadata = driver.Metadata{{Key: "actor", Value: "ann"}, {Key: "reason", Value: ""}}
	full.Conditions = []driver.Condition{
		driver.StreamAt("item-laptop", 2),
		driver.StreamAbsent("item-phone"),
		driver.StreamPresent("item-laptop"),
		driver.NoneAfter(driver.Query{Items: []driver.Item{{
			Types: []string{"A", "B"}, Tags: []string{"item:laptop"}, Streams: []string{"s-1"}, Category: "item", IDs: []driver.ID{full.ID},
		}, {Category: "cart"}}}, 9),
	}
	return plain, full
}

func frameOf(r driver.Record, stamp uint16, base int64) []byte {
	return appendFrame(nil, frame{
		stamp:    stamp,
		distance: uint64(r.Position - r.Batch),
		version:  r.Version,
		delta:    uint64(r.Time.UnixNano() - base),
		body:     appendBody(nil, &r.Event, r.Conditions),
	}, r.Position)
}

// golden compares b with a golden file, as a dump of hexadecimal bytes.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".hex")
	got := hex.Dump(b)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is now\n%s\nand was\n%s", name, got, want)
	}
}

func TestTheFormatStaysWhatItWas(t *testing.T) {
	id := uuid.MustParse("0198f0c4-0000-4000-8000-000000000001")
	plain, full := goldenRecords()
	group := groupHeader{epoch: 0xCAFEF00D, group: 300, first: 12, count: 2, size: 700}
	golden(t, "segment-header", segmentHeader{version: 1, number: 3, logID: id, first: 12, baseTime: 1_700_000_000_000_000_000, group: 300}.append(nil))
	golden(t, "group-header", group.append(nil, 0x12345678))
	golden(t, "record-plain", frameOf(plain, group.stamp(), 1_700_000_000_000_000_000))
	golden(t, "record-full", frameOf(full, group.stamp(), 1_700_000_000_000_000_000))
	golden(t, "mark", mark{sequence: 5, segment: 3, offset: 4096, position: 12, group: 300, time: 1_700_000_000_000_000_000}.append(nil, id))
	golden(t, "identity", appendIdentity(nil, id))
	golden(t, "state", stateEntry{revision: 9, key: "checkpoint/a", value: []byte("value")}.append(nil))
	golden(t, "sealed", sealed{end: 5000, group: 301, newest: plain.ID, nodes: []byte("nodes")}.append(nil))
}

func TestWhatIsEncodedIsDecodedAgain(t *testing.T) {
	plain, full := goldenRecords()
	base := int64(1_700_000_000_000_000_000)
	for _, want := range []driver.Record{plain, full} {
		b := frameOf(want, 77, base)
		if size, err := frameSize(b); err != nil || size != int64(len(b)) {
			t.Errorf("size %d, %v, want %d", size, err, len(b))
		}
		var got driver.Record
		if err := decodeRecord(b, want.Position, base, &decoder{}, &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		// Every flipped bit is found, and so is another's place.
		for i := range b {
			if i < 2 {
				continue // the stamp is compared with that of the group
			}
			b[i] ^= 1 << (i % 8)
			if err := decodeRecord(b, want.Position, base, &decoder{}, &driver.Record{}); err == nil {
				t.Errorf("a bit of byte %d flipped was not found", i)
			}
			b[i] ^= 1 << (i % 8)
		}
		if err := decodeRecord(b, want.Position+1, base, &decoder{}, &driver.Record{}); err == nil {
			t.Error("a record in another's place was not found")
		}
	}
}

// A store written by the first version must be read for ever.
func TestAStoreOfTheFirstFormatIsRead(t *testing.T) {
	dir := filepath.Join("testdata", "store-1")
	if *update {
		makeGoldenStore(t, dir)
	}
	copied := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{true, false} {
		s, err := Open(copied, &Options{ReadOnly: readOnly})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for r, err := range s.Read(context.Background(), driver.Query{}, driver.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%d %s %d %s %s %s %s\n", r.Position, r.Stream, r.Version, r.Type, r.ID, r.Time.Format(time.RFC3339Nano), r.Data)
		}
		head, err := s.TreeHead(context.Background(), 60)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "tree head %x\n", head)
		for err := range s.Verify(context.Background(), nil) {
			t.Errorf("Verify: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "store-1.txt")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("the store holds\n%s", out.String())
		}
	}
}

func makeGoldenStore(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	s, err := Open(dir, &Options{SegmentBytes: minSegmentBytes, Clock: func() time.Time { at = at.Add(time.Second); return at }})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		e := driver.Event{
			ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(n)}), Stream: fmt.Sprintf("item-%d", n%3), Type: "Added",
			Tags: []string{"n:" + fmt.Sprint(n%5)}, Data: []byte(strings.Repeat("x", n)),
		}
		if _, err := s.Append(context.Background(), driver.Batch{Events: []driver.Event{e}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := s.State().Save(context.Background(), "key", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, lockName))
}
