package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// wrap says what was being done and which of the contract's errors err is.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// kindOf returns the sentinel that fits err, nil if none does.
func kindOf(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok {
			return nil
		}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOfCode(pg.Code)
	}
	if broken(err) {
		return driver.ErrUnavailable
	}
	return nil
}

// kindOfCode returns the sentinel that fits a SQLSTATE, nil if none does.
func kindOfCode(code string) error {
	switch {
	case code == "3D000": // the database does not exist
		return driver.ErrNotFound
	case code == "25006": // a read-only transaction, a standby
		return driver.ErrReadOnly
	case strings.HasPrefix(code, "08"), // connection
		strings.HasPrefix(code, "53"), // no room, no memory, no connection free
		strings.HasPrefix(code, "58"), // input and output
		strings.HasPrefix(code, "57"), // shutdown, crash, not yet started, cancelled
		strings.HasPrefix(code, "40"), // deadlock
		code == "55P03":               // a lock was not to be had in time
		return driver.ErrUnavailable
	}
	return nil
}

// broken reports whether err is one of the connection rather than an answer.
func broken(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fatal(pg)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "conn closed") || strings.Contains(text, "closed pool") ||
		strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe")
}

// fatal reports whether the server ended the session with err. It may have done
// so between the commit and its answer.
func fatal(pg *pgconn.PgError) bool {
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC" || pg.Severity == "FATAL" || pg.Severity == "PANIC"
}
