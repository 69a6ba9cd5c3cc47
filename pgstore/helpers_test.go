package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/pgserver"
	"github.com/annals-db/annals/pgstore"
)

// patience is how long a test waits for what should come at once.
const patience = 60 * time.Second

func newContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newURL returns the URL of a new database.
func newURL(t testing.TB) string { return pgserver.Shared(t).NewDatabase(t) }

func openStore(t testing.TB, url string, o *pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(context.Background(), url, o)
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

func openPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func runSQL(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if len(args) == 0 {
		args = []any{pgx.QueryExecModeSimpleProtocol}
	}
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func event(stream, typ string, tags ...string) driver.Event {
	id := uuid.Must(uuid.NewV7())
	return driver.Event{ID: id, Stream: stream, Type: typ, Tags: tags, Data: fmt.Appendf(nil, `{"id":%q}`, id)}
}

func batch(events ...driver.Event) driver.Batch { return driver.Batch{Events: events} }

func mustAppend(t testing.TB, log driver.Log, b driver.Batch) driver.Receipt {
	t.Helper()
	r, err := log.Append(newContext(t), b)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return r
}

func readAll(t testing.TB, log driver.Log) []driver.Record {
	t.Helper()
	return read(t, log, driver.Query{})
}

func read(t testing.TB, log driver.Log, q driver.Query) (records []driver.Record) {
	t.Helper()
	for r, err := range log.Read(newContext(t), q, driver.ReadOptions{}) {
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		records = append(records, r)
	}
	return records
}

func isConflict(err error) bool {
	var c *driver.ConflictError
	return errors.As(err, &c)
}

func tagged(tags ...string) driver.Query { return driver.Query{Items: []driver.Item{{Tags: tags}}} }

func begin(t testing.TB, pool *pgxpool.Pool, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := pool.BeginTx(context.Background(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

// contains reports whether err says all of texts.
func contains(err error, texts ...string) bool {
	for _, s := range texts {
		if err == nil || !strings.Contains(err.Error(), s) {
			return false
		}
	}
	return true
}
