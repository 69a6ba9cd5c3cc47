package pgserver_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/internal/pgserver"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgserver.StopShared()
	os.Exit(code)
}

func TestServerKeepsWhatIsCommittedThroughAKill(t *testing.T) {
	s := pgserver.ForTest(t, &pgserver.Options{Settings: map[string]string{"wal_level": "logical"}})
	url := s.NewDatabase(t)
	exec(t, url, "CREATE TABLE t AS SELECT 42 AS n")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("the server answers though it was killed")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, url, "SELECT n FROM t"); n != 42 {
		t.Errorf("n is %d", n)
	}
	if level := query[string](t, url, "SHOW wal_level"); level != "logical" {
		t.Errorf("wal_level is %q", level)
	}
	if err := s.Restart(); err != nil { // of one that runs
		t.Fatal(err)
	}
	if n := query[int](t, url, "SELECT n FROM t"); n != 42 {
		t.Errorf("n is %d", n)
	}
}

func TestSharedIsOneServerWithManyDatabases(t *testing.T) {
	s := pgserver.Shared(t)
	if s != pgserver.Shared(t) {
		t.Error("there are two")
	}
	a, b := s.NewDatabase(t), s.NewDatabase(t)
	exec(t, a, "CREATE TABLE t (n int)")
	exec(t, b, "CREATE TABLE t (n int)")
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, url, sql string) (v T) {
	t.Helper()
	if err := connect(t, url).QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
