package filestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/filestore"
)

var ctx = context.Background()

// event returns event n: its ID and content follow from n alone.
func event(n int) driver.Event {
	return driver.Event{
		ID:       uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "event %d", n)),
		Stream:   fmt.Sprintf("item-%d", n%7),
		Type:     fmt.Sprintf("Type%d", n%3),
		Tags:     []string{fmt.Sprintf("tag:%d", n%5)},
		Data:     fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", n%50)),
		Metadata: driver.Metadata{{Key: "actor", Value: "ann"}},
	}
}

func open(t testing.TB, dir string, opts *filestore.Options) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill appends events from to to-1, each a batch of its own.
func fill(t testing.TB, s *filestore.Store, from, to int) {
	t.Helper()
	var answers []func() (driver.Receipt, error)
	for n := from; n < to; n++ {
		answers = append(answers, s.Submit(ctx, driver.Batch{Events: []driver.Event{event(n)}}))
	}
	for _, answer := range answers {
		if _, err := answer(); err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns what the log holds, one line a record, and the error that ended it.
func contents(s *filestore.Store) (lines []string, err error) {
	for r, err := range s.Read(ctx, driver.Query{}, driver.ReadOptions{}) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%d %s %d %s %s %s", r.Position, r.Stream, r.Version, r.Type, r.ID, r.Data))
	}
	return lines, nil
}

func mustHold(t testing.TB, s *filestore.Store, want []string) {
	t.Helper()
	got, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("the log holds %d records that differ from the %d wanted", len(got), len(want))
	}
}

func mustVerify(t testing.TB, s *filestore.Store) {
	t.Helper()
	for err := range s.Verify(ctx, nil) {
		t.Errorf("Verify: %v", err)
	}
}

// files returns the names of the files that match pattern in the store's directory.
func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// edit changes the bytes of a file.
func edit(t testing.TB, name string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}
