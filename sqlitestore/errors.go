package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"github.com/annals-db/annals/driver"
)

// damage is a fault that was found where the position is not known yet.
type damage struct{ reason string }

func (d *damage) Error() string { return d.reason }

// storeError returns err as callers of the store know it: what SQLite says is
// put into words, with what was being done. Errors of the contract pass.
func (s *Store) storeError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, driver.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, driver.ErrUnavailable), errors.Is(err, driver.ErrReadOnly):
		return err
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return fmt.Errorf("%s %s: %w: another process or transaction has been writing to the file for %v", doing, s.path, driver.ErrUnavailable, s.opts.BusyTimeout)
	case unwritten(err):
		return fmt.Errorf("%s %s: %w: it cannot be written, most often because the disk is full: %w", doing, s.path, driver.ErrUnavailable, err)
	case errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("%s %s: it is no SQLite file: %w", doing, s.path, err)
	case isSQLite(err):
		return fmt.Errorf("%s %s: %w", doing, s.path, err)
	}
	return err
}

// unwritten reports whether err says that something could not be written. (The
// driver does not keep the system's error, so a full disk is not told from others.)
func unwritten(err error) bool {
	return errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR_WRITE)
}

func isSQLite(err error) bool {
	var e *sqlite3.Error
	var c sqlite3.ErrorCode
	var x sqlite3.ExtendedErrorCode
	return errors.As(err, &e) || errors.As(err, &c) || errors.As(err, &x)
}

// corruption returns err, met where the record at p was expected, as a
// *driver.CorruptError if it is one.
func corruption(p driver.Position, err error) error {
	var d *damage
	var c *driver.CorruptError
	switch {
	case errors.As(err, &c):
		return err
	case errors.As(err, &d):
		return &driver.CorruptError{Position: p, Place: fmt.Sprintf("annals_records, position %d", p), Reason: d.reason}
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return &driver.CorruptError{Position: p, Place: "a page of the file", Reason: err.Error()}
	}
	return err
}
