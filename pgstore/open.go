package pgstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals/driver"
)

const (
	minServer      = 150000
	connectTimeout = 5 * time.Second
)

// Open opens the log in the database that url names, and makes it if it is not
// there. The URL is as libpq has it, "postgres://user@host/database", with
// "schema" as one more parameter; the environment (PGHOST, PGPASSWORD and so
// on) and ~/.pgpass fill in what it leaves out.
//
// What stands in the way is said at once: an error wraps
// [driver.ErrUnavailable] if the server cannot be reached, within 5 seconds
// unless the URL's "connect_timeout" says otherwise, and [driver.ErrNotFound]
// if there is no such database, or no log where one must exist.
func Open(ctx context.Context, url string, o *Options) (*Store, error) {
	url, schema, err := takeSchema(url)
	if err != nil {
		return nil, fmt.Errorf("open a PostgreSQL log: %w", err)
	}
	var set Options
	if o != nil {
		set = *o
	}
	if set.Schema == "" {
		set.Schema = schema
	}
	opts, err := set.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open a PostgreSQL log: %w", err)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open a PostgreSQL log: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 || !strings.Contains(url, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = opts.MaxConns
	}
	what := fmt.Sprintf("open the log %q in database %q on %s", opts.Schema, config.ConnConfig.Database, config.ConnConfig.Host)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig.Copy())
	if err != nil {
		return nil, wrap(what, err)
	}
	s := &Store{opts: opts, ownPool: true}
	err = s.prepare(ctx, conn)
	err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, wrap(what, err)
	}
	if !s.pooled { // a pooler refuses settings that it does not know
		maps.Copy(config.ConnConfig.RuntimeParams, ownSettings)
	}
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, wrap(what, err)
	}
	s.start()
	return s, nil
}

// FromPool opens the log in the database of a pool that the caller has and
// closes after the store. Besides the pool's connections the store makes one of
// its own to listen on, while somebody waits.
//
// A pool whose connections are all held by goroutines that wait for the store
// stops both, as with everything that takes two connections at once.
func FromPool(ctx context.Context, pool *pgxpool.Pool, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open a PostgreSQL log: %w", err)
	}
	what := fmt.Sprintf("open the log %q in database %q", opts.Schema, pool.Config().ConnConfig.Database)
	s := &Store{opts: opts, pool: pool}
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return s.prepare(ctx, c.Conn()) })
	if err != nil {
		return nil, wrap(what, err)
	}
	s.start()
	return s, nil
}

// takeSchema takes the parameter "schema" out of a URL, which the server would
// not know. The rest is left as it is, for pgx to read as libpq does.
func takeSchema(text string) (rest, schema string, err error) {
	at := strings.LastIndex(text, "?")
	if at < 0 || !strings.Contains(text[:at], "://") {
		return text, "", nil
	}
	var others []string
	for parameter := range strings.SplitSeq(text[at+1:], "&") {
		name, value, _ := strings.Cut(parameter, "=")
		if name != "schema" {
			others = append(others, parameter)
		} else if schema, err = url.QueryUnescape(value); err != nil {
			return "", "", fmt.Errorf("the URL's schema: %w", err)
		}
	}
	if rest = text[:at]; others != nil {
		rest += "?" + strings.Join(others, "&")
	}
	return rest, schema, nil
}

// prepare looks at the server and the schema, which it makes or migrates, and
// sets what the store has to know of them.
func (s *Store) prepare(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	var version int
	var encoding, isolation, readOnly, settings string
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('default_transaction_isolation'), current_setting('transaction_read_only'), pg_is_in_recovery(), `+durableSettings,
		pgx.QueryExecModeExec).Scan(&pid, &version, &encoding, &isolation, &readOnly, &s.standby, &settings)
	switch {
	case err != nil:
		return err
	case version < minServer:
		return fmt.Errorf("the server is PostgreSQL %d, which is too old: 15 is the least", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s, where a log needs UTF8", encoding)
	}
	// A pooler tells its clients a process ID of its own.
	s.pooled = pid != conn.PgConn().PID()
	s.sql = newStatements(s.opts.Schema)
	s.durable(settings)
	switch {
	case s.opts.ReadOnly:
		s.why = "it was opened read-only"
	case s.standby:
		return fmt.Errorf("the server is a standby: %w", driver.ErrReadOnly)
	case readOnly == "on":
		return fmt.Errorf("the session is read-only (default_transaction_read_only): %w", driver.ErrReadOnly)
	case isolation != "read committed" && isolation != "read uncommitted":
		return fmt.Errorf("default_transaction_isolation is %q, at which an append cannot be judged: set it to \"read committed\" for this role or database", isolation)
	}
	return s.migrate(ctx, conn)
}
