package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// Capture follows the database at url into log until ctx ends, whose cause it
// returns once what was under way is in the log. The first time it reads the tables of
// the publication as they are, at one moment, and from that moment on every
// change. Killed at any time and begun again it goes on where the log ends,
// and connects again where a connection fails or the server is not there.
//
// It returns a *[RefusedError] for what it cannot take, and a *[ForkedError]
// where the database is not the one whose trail log is. One log holds the trail of one
// database, and one Capture at a time writes it.
func Capture(ctx context.Context, url string, log driver.Log, o *Options) error {
	opts := o.withDefaults()
	counts := &counts{}
	pause, lost := 50*time.Millisecond, 0
	for {
		before := counts.appends.Load()
		err := follow(ctx, url, log, &opts, counts)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			return nil
		case opts.Once || !passing(err):
			return err
		}
		if counts.appends.Load() > before {
			pause, lost = 50*time.Millisecond, 0
		}
		if lost++; lost > 20 && errors.As(err, new(*driver.ConflictError)) {
			return err // someone else writes this trail, again and again
		}
		opts.Logger.Warn("capture is interrupted, and tries again", "error", err, "after", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// passing reports whether an error may pass by itself: the server restarts,
// the connection broke, the outcome of an append is not known.
func passing(err error) bool {
	var refused *RefusedError
	var forked *ForkedError
	if errors.As(err, &refused) || errors.As(err, &forked) {
		return false
	}
	if errors.Is(err, driver.ErrOutcomeUnknown) || errors.As(err, new(*driver.ConflictError)) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Connection errors, the server's going down or coming up, and a slot
		// that the server has not yet taken back from a connection that broke.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P") || pg.Code == "53300" || pg.Code == "55P03"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, errSlotActive)
}

// errSlotActive is wrapped while another connection holds the slot.
var errSlotActive = errors.New("the slot is in use")

// follow captures over one connection.
func follow(ctx context.Context, url string, log driver.Log, o *Options, n *counts) (err error) {
	s := &session{o: o, url: url, log: log, counts: n}
	defer s.close()
	if s.conn, err = replicate(ctx, url); err != nil {
		return connectError(err)
	}
	if s.sql, err = connect(ctx, url); err != nil {
		return connectError(err)
	}
	if o.CatchUp && o.Until == 0 {
		if o.Until, err = currentLSN(ctx, s.sql); err != nil {
			return err
		}
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	inner, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s.start(fail)
	err = s.run(inner)
	// What was handed over is waited for, so that the log is at rest when this returns.
	s.chain.close()
	s.chain = nil
	if cause := context.Cause(inner); cause != nil {
		return cause
	}
	return err
}

// connectError names what a server says that has no room for replication.
func connectError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		return &RefusedError{What: "the database user", Reason: pg.Message, Mend: "ALTER ROLE … REPLICATION"}
	}
	return fmt.Errorf("connect to the database: %w", err)
}

// currentLSN returns where the server's log ends.
func currentLSN(ctx context.Context, q queryer) (pglogrepl.LSN, error) {
	var text string
	if err := q.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&text); err != nil {
		return 0, fmt.Errorf("ask where the server's log ends: %w", err)
	}
	return pglogrepl.ParseLSN(text)
}

// flushSoon has the server flush what is in its log by now. Without a commit
// behind it the server may leave for long what it logs by itself, such as the pruning of a page,
// and only what is flushed is sent. The transaction has an ID and no more.
func flushSoon(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
		return fmt.Errorf("have the server flush its log: %w", err)
	}
	return nil
}
