package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, path string, opts *sqlitestore.Options) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "log.db") }

func event(stream string, tags ...string) driver.Event {
	id := uuid.New()
	return driver.Event{ID: id, Stream: stream, Type: "Happened", Tags: tags, Data: fmt.Appendf(nil, `{"id":%q}`, id)}
}

func batch(events ...driver.Event) driver.Batch { return driver.Batch{Events: events} }

func appendTo(t testing.TB, log driver.Log, events ...driver.Event) driver.Receipt {
	t.Helper()
	r, err := log.Append(testContext(t), batch(events...))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return r
}

func records(t testing.TB, log driver.Log, q driver.Query) []driver.Record {
	t.Helper()
	all, err := collect(testContext(t), log, q, driver.ReadOptions{})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return all
}

func collect(ctx context.Context, log driver.Log, q driver.Query, o driver.ReadOptions) (all []driver.Record, err error) {
	for r, err := range log.Read(ctx, q, o) {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

func ofStream(stream string) driver.Query {
	return driver.Query{Items: []driver.Item{{Streams: []string{stream}}}}
}

func tagged(tags ...string) driver.Query {
	return driver.Query{Items: []driver.Item{{Tags: tags}}}
}

func head(t testing.TB, log driver.Log) driver.Position {
	t.Helper()
	info, err := log.Info(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return info.Head
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// failsAs fails the test unless err is an E, and returns it.
func failsAs[E error](t testing.TB, err error) (as E) {
	t.Helper()
	if !errors.As(err, &as) {
		t.Fatalf("the error is %v (%T), want a %T", err, err, as)
	}
	return as
}

func faults(t testing.TB, s *sqlitestore.Store) (all []error) {
	t.Helper()
	for err := range s.Verify(testContext(t), nil) {
		all = append(all, err)
	}
	return all
}
