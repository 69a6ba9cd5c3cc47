package sqlitestore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	sqlite3 "github.com/ncruces/go-sqlite3"
	sqldriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/internal/vfs"
)

// schemaVersion is that of schema.sql.
const schemaVersion = 1

//go:embed schema.sql
var schema string

// Open opens the log in the SQLite file path, and makes file and log where
// there are none. The file may hold tables of the application too, whose names
// must not begin with annals_. It is put into WAL mode.
//
// A file that is no SQLite file, or whose log was written by a newer version of
// this package, is an error that says so.
func Open(path string, opts *Options) (*Store, error) {
	s := &Store{path: path, opts: opts.withDefaults(), pool: newPool(), grown: make(chan struct{}), done: make(chan struct{})}
	if err := s.open(); err != nil {
		if s.writer != nil {
			s.writer.disconnect() //nolint:errcheck // err says what went wrong
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if s.file, err = filepath.Abs(s.path); err != nil {
		return err
	}
	missing, err := s.missing()
	if err != nil {
		return err
	}
	if missing {
		if err := makeFile(s.path); err != nil {
			return err
		}
	}
	if err := s.prepareFile(); err != nil {
		return s.storeError("open", err)
	}
	if !s.opts.ReadOnly {
		if s.writer, err = newWriter(s); err != nil {
			return s.storeError("open", err)
		}
	}
	c, err := s.dial()
	if err != nil {
		return s.storeError("open", err)
	}
	head := driver.Position(0)
	err = c.within(func() (err error) { head, err = c.checkEnd(); return err })
	s.known = head
	if err != nil {
		if !errors.As(err, new(*driver.CorruptError)) {
			c.close() //nolint:errcheck // err says what went wrong
			return s.storeError("open", err)
		}
		s.cut = err
		s.breakWith(err)
	}
	s.pool.idle <- c
	if s.cut == nil {
		if err := s.compareClock(); err != nil {
			return s.storeError("open", err)
		}
	}
	mode := "mode=rw"
	if s.opts.ReadOnly {
		mode = "mode=ro"
	}
	s.db, err = sqldriver.Open(name(s.file, mode), func(c *sqlite3.Conn) error { return setUpApplication(c, s.opts.BusyTimeout) })
	if err != nil {
		return s.storeError("open", err)
	}
	if s.writer != nil {
		s.writer.start()
	}
	return nil
}

// setUpApplication readies a connection that SQL of the application runs on.
func setUpApplication(c *sqlite3.Conn, busy time.Duration) error {
	if err := c.BusyTimeout(busy); err != nil {
		return err
	}
	return c.Exec(`PRAGMA synchronous = FULL; PRAGMA trusted_schema = 0`)
}

// makeFile makes an empty file, for its user only, as SQLite's own would be for all.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = vfs.OS.SyncDir(filepath.Dir(path))
	}
	return err
}

// missing reports whether the file is still to be made, and returns an error
// if it must not be.
func (s *Store) missing() (bool, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s.opts.ReadOnly || s.opts.MustExist {
			return false, fmt.Errorf("open %s: there is no such file: %w", s.path, fs.ErrNotExist)
		}
		return true, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, fmt.Errorf("open %s: it is a directory, not an SQLite file", s.path)
	}
	return false, nil
}

// prepareFile checks that the file holds a log that this version can work
// with, and makes one where there is none.
func (s *Store) prepareFile() error {
	mode := "mode=rwc"
	if s.opts.ReadOnly {
		mode = "mode=ro"
	}
	c, err := sqlite3.Open(name(s.file, mode))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.BusyTimeout(s.opts.BusyTimeout); err != nil {
		return err
	}
	has, err := s.identify(c)
	if err != nil || s.opts.ReadOnly && has {
		return err
	}
	if !has && (s.opts.ReadOnly || s.opts.MustExist) {
		return fmt.Errorf("open %s: the file holds no log: %w", s.path, driver.ErrNotFound)
	}
	if err := setJournal(c); err != nil {
		return err
	}
	if has {
		return nil
	}
	return s.create(c)
}

// setJournal puts the file into WAL mode and has commits synced, and checks
// that both are so: the receipts say it.
func setJournal(c *sqlite3.Conn) error {
	if mode, err := pragma(c, `PRAGMA journal_mode = WAL`); err != nil || mode != "wal" {
		return errors.Join(err, fmt.Errorf("the file cannot be put into WAL mode, it stays in %q", mode))
	}
	if err := c.Exec(`PRAGMA synchronous = FULL`); err != nil {
		return err
	}
	if level, err := pragma(c, `PRAGMA synchronous`); err != nil || level != "2" {
		return errors.Join(err, fmt.Errorf("synchronous = FULL was asked for, SQLite says %q", level))
	}
	return nil
}

// pragma returns the first column of the first row of sql.
func pragma(c *sqlite3.Conn, sql string) (value string, err error) {
	stmt, _, err := c.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer stmt.Close()
	err = each(stmt, func() bool {
		value = stmt.ColumnText(0)
		return false
	})
	return value, err
}

// identify reports whether the file holds a log, takes its ID, and returns an
// error if it is one of another schema.
func (s *Store) identify(c *sqlite3.Conn) (bool, error) {
	n, err := pragma(c, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'annals_log'`)
	if err != nil || n == "0" {
		return false, err
	}
	stmt, _, err := c.Prepare(`SELECT version, log_id FROM annals_log`)
	if err != nil {
		return false, fmt.Errorf("open %s: its table annals_log is not that of a log: %w", s.path, err)
	}
	defer stmt.Close()
	version, found := 0, false
	err = each(stmt, func() bool {
		version = stmt.ColumnInt(0)
		found = copy(s.id[:], stmt.ColumnRawBlob(1)) == len(s.id)
		return false
	})
	switch {
	case err != nil:
		return false, err
	case !found:
		return false, fmt.Errorf("open %s: its table annals_log does not say what log it is", s.path)
	case version > schemaVersion:
		return false, fmt.Errorf("open %s: its schema is version %d, and this program knows them up to %d: use a newer one", s.path, version, schemaVersion)
	case version < schemaVersion:
		return false, fmt.Errorf("open %s: its schema is version %d, which no release has written", s.path, version)
	}
	return true, s.complete(c)
}

// complete returns an error unless every table of the log is there, and the
// index that keeps IDs unique.
func (s *Store) complete(c *sqlite3.Conn) error {
	for _, name := range []string{"annals_keys", "annals_records", "annals_ids", "annals_postings", "annals_tree", "annals_state"} {
		n, err := pragma(c, `SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'index') AND name = '`+name+`'`)
		if err != nil {
			return err
		}
		if n != "1" {
			return fmt.Errorf("open %s: its %s is missing: restore a backup", s.path, name)
		}
	}
	return nil
}

// create makes the log, unless another process has done so meanwhile.
func (s *Store) create(c *sqlite3.Conn) (err error) {
	tx, err := c.BeginImmediate()
	if err != nil {
		return err
	}
	defer tx.End(&err)
	if has, err := s.identify(c); err != nil || has {
		return err
	}
	if err := c.Exec(schema); err != nil {
		return fmt.Errorf("open %s: make the log's tables: %w", s.path, err)
	}
	stmt, _, err := c.Prepare(`INSERT INTO annals_log (one, version, log_id, revision) VALUES (1, ?, ?, 0)`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	s.id = s.opts.LogID
	return exec(stmt, schemaVersion, s.id[:])
}

// checkEnd returns the head, and compares the end of the log with what its
// types say: each record has one. So records that are missing from the end are
// noticed.
func (c *conn) checkEnd() (driver.Position, error) {
	head, _, err := c.headOf()
	if err != nil {
		return 0, corruption(1, err)
	}
	stmt, _, err := c.db.Prepare(`SELECT ifnull(sum(count), 0), ifnull(max(last), 0) FROM annals_keys WHERE kind = 3`)
	if err != nil {
		return 0, err
	}
	defer stmt.Close()
	var count, last driver.Position
	err = each(stmt, func() bool {
		count, last = driver.Position(stmt.ColumnInt64(0)), driver.Position(stmt.ColumnInt64(1))
		return true
	})
	switch {
	case err != nil:
		return 0, corruption(max(head, 1), err)
	case last != head || count != head:
		return 0, &driver.CorruptError{Position: min(head, last, count) + 1, Place: "annals_records and annals_keys", Reason: fmt.Sprintf(
			"the log ends at position %d, but its types count %d records, the last at %d", head, count, last)}
	case head > 0:
		_, err = c.at(head)
	}
	return head, err
}

// compareClock has the logger told if the clock is far behind the log's time,
// which then stands still until the clock has caught up.
func (s *Store) compareClock() error {
	return s.use(context.Background(), func(c *conn) error {
		head, at, err := c.headOf()
		if err != nil || head == 0 {
			return corruption(1, err)
		}
		if behind := instant(at).Sub(s.opts.Clock()); behind > time.Minute {
			s.opts.Logger.Warn("the clock is behind the log, whose time stands still until it has caught up", "file", s.path, "behind", behind)
		}
		return nil
	})
}
