package declared

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib"       // the driver "pgx"
	_ "github.com/ncruces/go-sqlite3/driver" // the driver "sqlite3"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/projection"
)

// Target is where projections are kept, by URL.
type Target struct {
	projection.Keeper
	url  string
	log  driver.Log
	sql  *projection.SQL
	docs *projection.Documents
	db   *sql.DB
}

// ErrTarget is wrapped where a target's URL is of no kind that there is.
var ErrTarget = errors.New("a target is sqlite:PATH, postgres://… or documents:")

// isSQL reports whether a target has tables.
func isSQL(target string) (bool, error) {
	scheme, rest, ok := strings.Cut(target, ":")
	switch {
	case ok && scheme == "sqlite" && rest != "":
		return true, nil
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return true, nil
	case target == "", target == "documents:":
		return false, nil
	}
	return false, fmt.Errorf("kind %q: %w", scheme, ErrTarget)
}

// OpenTarget opens a target for the projections of log: sqlite:PATH,
// postgres://…, or documents: (also ""), which lie in the state beside the log.
func OpenTarget(ctx context.Context, target string, log driver.Log) (*Target, error) {
	if _, err := isSQL(target); err != nil {
		return nil, err
	}
	t := &Target{url: target, log: log}
	var err error
	path, lite := strings.CutPrefix(target, "sqlite:")
	switch {
	case lite:
		// Transactions begin by writing, so that none must be upgraded.
		q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)"}, "_txlock": {"immediate"}}
		u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
		t.db, err = sql.Open("sqlite3", u.String())
		t.sql = projection.SQLite(t.db)
	case target == "" || target == "documents:":
		t.docs, err = projection.NewDocuments(log)
		t.Keeper = t.docs
	default:
		t.db, err = sql.Open("pgx", target)
		t.sql = projection.Postgres(t.db)
	}
	if err == nil && t.db != nil {
		t.Keeper = t.sql
		if err = t.db.PingContext(ctx); err != nil {
			err = fmt.Errorf("target %s: %w", scheme(target), errors.Join(unreachable(err), t.db.Close()))
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// unreachable wraps [driver.ErrUnavailable] where no server has answered.
func unreachable(err error) error {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, answered := errors.AsType[*pgconn.PgError](err)
	if connecting && !answered {
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return err
}

// scheme is what may be shown of a target's URL.
func scheme(target string) string {
	if strings.HasPrefix(target, "postgres") {
		s, _, _ := strings.Cut(target, ":")
		return s + "://…"
	}
	return target
}

// Close closes the target.
func (t *Target) Close() error {
	if t.db == nil {
		return nil
	}
	return t.db.Close()
}

// Open registers a version at its target and returns its runner.
func (v *Version) Open(ctx context.Context, t *Target, logger *slog.Logger) (*projection.Runner, error) {
	opts := v.opts
	opts.Logger = logger
	db := annals.New(t.log, nil)
	if t.docs != nil {
		d := &documents{v: v}
		return d.projection().Open(ctx, db, t.docs, &opts)
	}
	return (&table{v, strings.HasPrefix(t.url, "postgres")}).projection().Open(ctx, db, t.sql, &opts)
}
