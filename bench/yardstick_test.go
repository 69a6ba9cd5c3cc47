package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-db/annals/bench/internal/measure"
	"github.com/annals-db/annals/driver"
)

// The yardstick must do what it is said to do, or every ratio is wrong.

func TestTheYardstickKeepsWhatItAcknowledges(t *testing.T) {
	dir := t.TempDir()
	l, err := openRaw(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 16, 50
	err = measure.Together(writers, func(w int) error {
		r := newRawRequest()
		for range each {
			if err := l.append(r, bytes.Repeat([]byte{'a' + byte(w)}, 10)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != 1<<20 {
		t.Errorf("the file has %d bytes, so it was not zeroed beforehand or it grew", len(data))
	}
	for w := range writers {
		if n := strings.Count(string(data), strings.Repeat(string(rune('a'+w)), 10)); n != each {
			t.Errorf("writer %d was acknowledged %d times and has %d in the file", w, each, n)
		}
	}
	if end := writers * each * 10; bytes.ContainsRune(data[:end], 0) {
		t.Error("there are gaps between what was written")
	}
}

func TestAnEncodedEventComesBack(t *testing.T) {
	p := newProducer(3, 5)
	var buffer []byte
	events := p.next().Events
	for i := range events {
		buffer = encodeEvent(buffer, &events[i], events[i].Occurred)
	}
	for i := range events {
		var r driver.Record
		var err error
		if buffer, err = decodeEvent(buffer, &r); err != nil {
			t.Fatal(err)
		}
		if e := &events[i]; r.ID != e.ID || !driver.SameContent(&r.Event, e) || !r.Occurred.Equal(e.Occurred) || !r.Time.Equal(e.Occurred) {
			t.Errorf("%+v came back as %+v", e, r)
		}
	}
	if len(buffer) != 0 {
		t.Errorf("%d bytes are left", len(buffer))
	}
	if encodedSize != 137 {
		t.Errorf("an encoded event has %d bytes; the footnotes say 137", encodedSize)
	}
}

func TestIDsAreVersionedAndDiffer(t *testing.T) {
	for name, p := range map[string]*producer{"7": newProducer(0, 1000), "4": newProducer(0, 1000)} {
		p.unordered = name == "4"
		seen := map[driver.ID]bool{}
		for range 3 {
			for _, e := range p.next().Events {
				if seen[e.ID] || e.ID.Version().String() != "VERSION_"+name {
					t.Fatalf("%s is a %s, or made twice", e.ID, e.ID.Version())
				}
				seen[e.ID] = true
			}
		}
	}
}

func TestRateCountsWhatIsDone(t *testing.T) {
	got, err := measure.Rate(100*time.Millisecond, 4, func(int) (int, error) {
		time.Sleep(time.Millisecond)
		return 10, nil
	})
	if err != nil || got > 4*10*1000 || got < 1000 {
		t.Errorf("%v events a second of 4 writers that do 10 in a little over a millisecond, %v", got, err)
	}
}

func TestTheTableByHandKeepsWhatItCounts(t *testing.T) {
	h, err := openByHand(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	rate, err := h.rate(env{window: 200 * time.Millisecond}, 8)
	if err != nil {
		t.Fatal(err)
	}
	var n, versions int
	if err := h.db.QueryRow(`SELECT count(*), count(DISTINCT stream || version) FROM events`).Scan(&n, &versions); err != nil {
		t.Fatal(err)
	}
	if n == 0 || versions != n || rate > float64(n)/0.2 {
		t.Errorf("%v events a second were counted; the table has %d events and %d versions", rate, n, versions)
	}
}
