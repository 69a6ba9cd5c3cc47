package sqlitestore_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	sqldriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/sqlitestore"
)

// plainSQL opens path by SQL alone, as another program would.
func plainSQL(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sqldriver.Open("file:" + filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestAFileThatIsNoLogIsAnErrorAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		opts *sqlitestore.Options
		want string
		is   error
	}{
		"a file that is not SQLite's": {
			make: func(t *testing.T, path string) {
				if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 100)), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			want: "no SQLite file",
		},
		"a directory": {
			make: func(t *testing.T, path string) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: "is a directory",
		},
		"a file that is missing and must exist":      {opts: &sqlitestore.Options{MustExist: true}, want: "no such file", is: fs.ErrNotExist},
		"a file that is missing, read-only":          {opts: &sqlitestore.Options{ReadOnly: true}, want: "no such file", is: fs.ErrNotExist},
		"a database without a log that must exist":   {make: otherTables, opts: &sqlitestore.Options{MustExist: true}, want: "holds no log", is: driver.ErrNotFound},
		"a database without a log, read-only":        {make: otherTables, opts: &sqlitestore.Options{ReadOnly: true}, want: "holds no log", is: driver.ErrNotFound},
		"a newer schema":                             {make: withVersion("2"), want: "version 2, and this program knows them up to 1"},
		"a newer schema, read-only":                  {make: withVersion("2"), opts: &sqlitestore.Options{ReadOnly: true}, want: "version 2"},
		"a schema of a version that never was":       {make: withVersion("0"), want: "version 0, which no release has written"},
		"a table annals_log that is not that of one": {make: func(t *testing.T, path string) { run(t, plainSQL(t, path), `CREATE TABLE annals_log (x)`) }, want: "not that of a log"},
		"a table annals_log without a row": {
			make: func(t *testing.T, path string) {
				withVersion("1")(t, path)
				run(t, plainSQL(t, path), `DELETE FROM annals_log`)
			},
			want: "does not say what log it is",
		},
		"a table of the log missing": {
			make: func(t *testing.T, path string) {
				withVersion("1")(t, path)
				run(t, plainSQL(t, path), `DROP TABLE annals_postings`)
			},
			want: "annals_postings is missing",
		},
		"the index of IDs missing": {
			make: func(t *testing.T, path string) {
				withVersion("1")(t, path)
				run(t, plainSQL(t, path), `DROP INDEX annals_ids`)
			},
			want: "annals_ids is missing",
		},
		"a table in the way": {
			make: func(t *testing.T, path string) { run(t, plainSQL(t, path), `CREATE TABLE annals_keys (x)`) },
			want: "already exists",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			if c.make != nil {
				c.make(t, path)
			}
			begin := time.Now()
			s, err := sqlitestore.Open(path, c.opts)
			if err == nil {
				s.Close()
				t.Fatal("it is opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("the error is %q, want one with %q", err, c.want)
			}
			if d := time.Since(begin); d > patience {
				t.Errorf("it took %v", d)
			}
			if c.make == nil {
				if _, err := os.Stat(path); err == nil {
					t.Error("the file is there now")
				}
			}
		})
	}
}

func otherTables(t *testing.T, path string) {
	run(t, plainSQL(t, path), `CREATE TABLE customers (name TEXT)`, `INSERT INTO customers VALUES ('ann')`)
}

func withVersion(v string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		s := open(t, path, nil)
		appendTo(t, s, event("item-1"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		run(t, plainSQL(t, path), `UPDATE annals_log SET version = `+v)
	}
}

func TestADatabaseOfTheApplicationGetsALog(t *testing.T) {
	path := newFile(t)
	otherTables(t, path)
	s := open(t, path, nil)
	appendTo(t, s, event("item-1"))
	var name string
	if err := s.DB().QueryRow(`SELECT name FROM customers`).Scan(&name); err != nil || name != "ann" {
		t.Errorf("the application's table says %q and %v", name, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, "records", len(records(t, open(t, path, &sqlitestore.Options{MustExist: true}), driver.Query{})), 1)
}

func TestALogIsMadeWithAGivenID(t *testing.T) {
	path, id := newFile(t), event("").ID
	for _, opts := range []*sqlitestore.Options{{LogID: id}, {LogID: event("").ID}, nil} {
		s := open(t, path, opts)
		info, err := s.Info(testContext(t))
		equal(t, "log ID", info.LogID, id)
		equal(t, "error", err, error(nil))
	}
}

func TestAReadOnlyHandleFollowsAndRefuses(t *testing.T) {
	s := open(t, newFile(t), nil)
	r := open(t, s.Path(), &sqlitestore.Options{ReadOnly: true})
	appendTo(t, s, event("item-1", "a:1"))
	if _, err := s.State().Save(testContext(t), "key", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Wait(testContext(t), 0); p != 1 || err != nil {
		t.Errorf("Wait returned %d and %v", p, err)
	}
	equal(t, "records", records(t, r, tagged("a:1")), records(t, s, driver.Query{}))
	equal(t, "faults", faults(t, r), []error(nil))
	if _, err := r.Append(testContext(t), batch(event("item-1"))); !errors.Is(err, driver.ErrReadOnly) {
		t.Errorf("Append returned %v", err)
	}
	if err := r.Update(testContext(t), func(*sql.Tx, driver.Log) error { return nil }); !errors.Is(err, driver.ErrReadOnly) {
		t.Errorf("Update returned %v", err)
	}
	if r.State() != nil {
		t.Error("it has a state that can be saved")
	}
	value, _, err := r.ReadState().Load(testContext(t), "key")
	equal(t, "state", string(value), "v")
	equal(t, "error", err, error(nil))
	if _, err := r.ReadState().Save(testContext(t), "key", nil, driver.AnyRevision); !errors.Is(err, driver.ErrReadOnly) {
		t.Errorf("Save returned %v", err)
	}
	if _, err := r.DB().Exec(`CREATE TABLE t (x)`); err == nil {
		t.Error("the file can be written through the handle's DB")
	}
	info, err := r.Info(testContext(t))
	if info.ReadOnly == "" || err != nil {
		t.Errorf("Info says %+v and %v", info, err)
	}
}

func TestTheLogCannotBeChangedBySQL(t *testing.T) {
	s := open(t, newFile(t), nil)
	appendTo(t, s, event("item-1"), event("item-2"))
	for _, statement := range []string{
		`DELETE FROM annals_records`, `UPDATE annals_records SET data = x'00'`, `DELETE FROM annals_records WHERE position = 2`,
	} {
		if _, err := s.DB().Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s returned %v", statement, err)
		}
	}
	equal(t, "faults", faults(t, s), []error(nil))
}

func TestATransactionOfTheApplicationThatTakesTooLongIsNamed(t *testing.T) {
	s := open(t, newFile(t), &sqlitestore.Options{BusyTimeout: 50 * time.Millisecond})
	tx, err := s.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(testContext(t), batch(event("item-1"))); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("Append returned %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	equal(t, "first position", appendTo(t, s, event("item-1")).First, driver.Position(1))
}

// A kill does not show whether commits are synced; what SQLite says does.
func TestEveryConnectionThatWritesSyncsItsCommits(t *testing.T) {
	s := open(t, newFile(t), nil)
	check := func(who string, row func(query string) *sql.Row) {
		t.Helper()
		var mode string
		var level int
		if err := errors.Join(row(`PRAGMA journal_mode`).Scan(&mode), row(`PRAGMA synchronous`).Scan(&level)); err != nil || mode != "wal" || level != 2 {
			t.Errorf("%s is in mode %q with synchronous %d and %v", who, mode, level, err)
		}
	}
	check("the application's connection", func(q string) *sql.Row { return s.DB().QueryRow(q) })
	err := s.Update(testContext(t), func(tx *sql.Tx, log driver.Log) error {
		check("the writer", func(q string) *sql.Row { return tx.QueryRow(q) })
		return nil
	})
	equal(t, "error", err, error(nil))
	equal(t, "durability", appendTo(t, s, event("item-1")).Durability, "fsync")
}

func TestAFileMayHaveAnyName(t *testing.T) {
	for _, name := range []string{"a b.db", "100%41.db", "a#b.db", "ü&x=y.db", "-v"} {
		path := filepath.Join(t.TempDir(), name)
		s := open(t, path, nil)
		appendTo(t, s, event("item-1"))
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if _, err := s.Backup(testContext(t), path+" backup"); err != nil {
			t.Error(err)
		}
		run(t, s.DB(), `CREATE TABLE t (x)`)
		equal(t, "records of the backup", len(records(t, open(t, path+" backup", nil), driver.Query{})), 1)
	}
	t.Chdir(t.TempDir())
	appendTo(t, open(t, "relative.db", nil), event("item-1"))
	if _, err := os.Stat("relative.db"); err != nil {
		t.Error(err)
	}
}

func TestAClockFarBehindTheLogIsReported(t *testing.T) {
	path := newFile(t)
	s := open(t, path, nil)
	appendTo(t, s, event("item-1"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	open(t, path, &sqlitestore.Options{
		Clock:  func() time.Time { return time.Now().Add(-time.Hour) },
		Logger: slog.New(slog.NewTextHandler(&told, nil)),
	})
	if !strings.Contains(told.String(), "behind") {
		t.Errorf("the logger was told %q", told.String())
	}
}

func TestTheFilesAreForTheirUserOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	s := open(t, newFile(t), nil)
	appendTo(t, s, event("item-1"))
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := s.Backup(testContext(t), backup); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.Path(), s.Path() + "-wal", backup} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(name), mode)
		}
	}
}

func TestAStoreOpenedByARelativeNameStaysTheSameWhenTheDirectoryChanges(t *testing.T) {
	t.Chdir(t.TempDir())
	s := open(t, "relative.db", nil)
	appendTo(t, s, event("item-1"))
	t.Chdir(t.TempDir())
	var wg sync.WaitGroup
	for range 8 { // more connections than were open
		wg.Go(func() { equal(t, "records", len(records(t, s, driver.Query{})), 1) })
	}
	wg.Wait()
	run(t, s.DB(), `CREATE TABLE t (x)`)
	appendTo(t, s, event("item-1"))
}

func TestAReadOnlyHandleCanBeBackedUp(t *testing.T) {
	s := open(t, newFile(t), nil)
	appendTo(t, s, event("item-1"))
	r := open(t, s.Path(), &sqlitestore.Options{ReadOnly: true})
	backup := filepath.Join(t.TempDir(), "backup.db")
	info, err := r.Backup(testContext(t), backup)
	equal(t, "head", info.Head, driver.Position(1))
	equal(t, "error", err, error(nil))
	equal(t, "records", records(t, open(t, backup, nil), driver.Query{}), records(t, s, driver.Query{}))
}
