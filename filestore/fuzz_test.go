package filestore

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
)

var fuzzID = uuid.MustParse("0198f0c4-0000-4000-8000-000000000001")

// What decodes must encode to the same bytes; nothing may panic.

func FuzzSegmentHeader(f *testing.F) {
	f.Add(segmentHeader{version: 1, number: 3, logID: fuzzID, first: 12, baseTime: -5, group: 300}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseSegmentHeader(b); err == nil && !bytes.Equal(h.append(nil)[:56], b[:56]) {
			t.Errorf("%x", b)
		}
	})
}

func FuzzGroupHeader(f *testing.F) {
	f.Add(groupHeader{epoch: 7, group: 300, first: 12, count: 2, size: 700}.append(nil, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseGroupHeader(b, 5)
		if err != nil {
			return
		}
		again, _, err := parseGroupHeader(h.append(nil, 5), 5)
		if n > len(b) || err != nil || again != h {
			t.Errorf("%x: %+v, %+v, %v", b, h, again, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	plain, full := goldenRecords()
	f.Add(frameOf(plain, 7, 0), uint64(1))
	f.Add(frameOf(full, 7, 0), uint64(12))
	f.Fuzz(func(t *testing.T, b []byte, p uint64) {
		_, _ = frameSize(b)
		x, err := parseFrame(b, driver.Position(p))
		if err != nil {
			return
		}
		again, err := parseFrame(appendFrame(nil, x, driver.Position(p)), driver.Position(p))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(x) {
			t.Errorf("%x: %+v, %+v, %v", b, x, again, err)
		}
	})
}

func FuzzBody(f *testing.F) {
	plain, full := goldenRecords()
	f.Add(appendBody(nil, &plain.Event, nil))
	f.Add(appendBody(nil, &full.Event, full.Conditions))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again driver.Record
		if new(decoder).event(b, &r) != nil {
			return
		}
		if err := new(decoder).event(appendBody(nil, &r.Event, r.Conditions), &again); err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("%x: %+v, %+v, %v", b, r, again, err)
		}
	})
}

func FuzzMark(f *testing.F) {
	f.Add(mark{sequence: 5, segment: 3, offset: 4096, position: 12, group: 300, time: 17}.append(nil, fuzzID))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := parseMark(b, fuzzID); ok && !bytes.Equal(m.append(nil, fuzzID), b[:markSize]) {
			t.Errorf("%x", b)
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add(appendIdentity(nil, fuzzID))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseIdentity(b); err == nil && !bytes.Equal(appendIdentity(nil, id), b) {
			t.Errorf("%q", b)
		}
	})
}

func FuzzStateEntry(f *testing.F) {
	f.Add(stateEntry{revision: 9, key: "a", value: []byte("value")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseStateEntry(b); err == nil && !bytes.Equal(e.append(nil), b) {
			t.Errorf("%x", b)
		}
	})
}

func FuzzSealed(f *testing.F) {
	f.Add(sealed{end: 5000, group: 301, newest: fuzzID, nodes: []byte("nodes")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := parseSealed(b); err == nil && !bytes.Equal(x.append(nil), b) {
			t.Errorf("%x", b)
		}
	})
}
