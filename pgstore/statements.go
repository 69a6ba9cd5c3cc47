package pgstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// durableSettings is what the server says of its durability.
const durableSettings = `concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'))`

// columns are those of a record, as scanRecord reads them.
const columns = `x.position, x.version, x.time, x.occurred, x.batch, x.id, x.stream, x.type, x.encoding, x.tags, x.metadata, x.conditions, x.data, x.leaf`

// statements are the statements of a store that do not vary.
type statements struct {
	info, head, versions, locate, append, inbox, ids, batch, leaves, notify, settle string

	pages *pages
}

func newStatements(schema string) statements {
	in := func(sql string) string { return inSchema(schema, sql) }
	var params []string
	for i := range appendParams {
		params = append(params, fmt.Sprintf("$%d", i+1))
	}
	return statements{
		pages: &pages{},
		info: in(`SELECT x.position, x.time, ` + durableSettings + ` FROM (VALUES (1)) AS one
			LEFT JOIN LATERAL (SELECT position, time FROM {schema}.events ORDER BY position DESC LIMIT 1) x ON true`),
		head: in(`SELECT coalesce((SELECT position FROM {schema}.events ORDER BY position DESC LIMIT 1), 0)`),
		versions: in(`SELECT k.n, x.version FROM unnest($1::text[]) WITH ORDINALITY AS k(stream, n)
			CROSS JOIN LATERAL (SELECT version FROM {schema}.events WHERE stream = k.stream ORDER BY position DESC LIMIT 1) x`),
		locate: in(`WITH RECURSIVE half(low, high) AS (
				SELECT 0::bigint, coalesce((SELECT position FROM {schema}.events ORDER BY position DESC LIMIT 1), 0)
				UNION ALL
				SELECT CASE WHEN m.after THEN h.low ELSE m.mid END, CASE WHEN m.after THEN m.mid - 1 ELSE h.high END
				FROM half h CROSS JOIN LATERAL (SELECT x.position AS mid, x.time > $1 AS after FROM {schema}.events x
					WHERE x.position = h.low + (h.high - h.low + 1) / 2) m WHERE h.low < h.high)
			SELECT low FROM half ORDER BY low DESC LIMIT 1`),
		append: in(`SELECT * FROM {schema}.append(` + strings.Join(params, ", ") + `)`),
		inbox: in(`INSERT INTO {schema}.inbox (` + strings.Join(appendParams[1:], ", ") + `) VALUES (` +
			strings.Join(params[:len(params)-1], ", ") + `)`),
		ids:    in(`SELECT ` + columns + ` FROM {schema}.events x WHERE x.id = ANY ($1)`),
		batch:  in(`SELECT ` + columns + ` FROM {schema}.events x WHERE x.batch = $1 AND x.position >= $1 AND x.position < $1 + $2 ORDER BY x.position`),
		leaves: in(`SELECT position, leaf FROM {schema}.events WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3`),
		notify: `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`,
		settle: in(`SELECT pg_advisory_xact_lock_shared(1634627937, '{schema}.events'::regclass::oid::int)`),
	}
}

// ownSettings keep plans that were made while the log was small from being
// kept when it is large.
var ownSettings = map[string]string{"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}

// modeOf is how statements are sent: prepared once for each connection of the
// store's own; where a pooler may change the connection behind, or the
// connection is another's, in one go without a name, and planned anew.
func (s *Store) modeOf(config *pgx.ConnConfig) pgx.QueryExecMode {
	if s.pooled || !s.ownPool {
		return nameless(config)
	}
	return pgx.QueryExecModeCacheStatement
}

// nameless is how statements are sent without a name on connections of config.
func nameless(config *pgx.ConnConfig) pgx.QueryExecMode {
	if config.DescriptionCacheCapacity > 0 {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeDescribeExec
}

// attempts is how often a reading statement is tried while connections break.
const attempts = 4

// query runs a reading statement and has row called for each row. Where the
// connection breaks before the first row, as after the server was restarted,
// another is tried.
func (s *Store) query(ctx context.Context, what, sql string, args []any, row func(pgx.Rows) error) error {
	for attempt := 1; ; attempt++ {
		if err := s.usable(ctx); err != nil {
			return err
		}
		got, err := s.queryOnce(ctx, sql, args, row)
		switch {
		case err == nil:
			return nil
		case s.closed.Load():
			return driver.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case got || attempt == attempts || !broken(err):
			return wrap(what, err)
		}
		pause(ctx, time.Duration(attempt)*20*time.Millisecond)
	}
}

func (s *Store) queryOnce(ctx context.Context, sql string, args []any, row func(pgx.Rows) error) (got bool, err error) {
	rows, err := s.pool.Query(ctx, sql, append([]any{s.mode}, args...)...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		got = true
		if err := row(rows); err != nil {
			return got, err
		}
	}
	rows.Close()
	return got, rows.Err()
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// durable notes what the server says of its durability and returns it in the
// words of a receipt.
func (s *Store) durable(settings string) string {
	if p := s.durability.Load(); p != nil && settings == "on on on" && *p == "fsync" {
		return *p
	}
	words := durabilityOf(settings)
	s.durability.Store(&words)
	return words
}

// durabilityOf returns the words for the values of fsync, full_page_writes and
// synchronous_commit.
func durabilityOf(settings string) string {
	v := strings.Fields(settings)
	var off []string
	for i, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if i < len(v) && v[i] == "off" {
			off = append(off, name+" is off")
		}
	}
	if len(off) > 0 {
		return "fsync off: " + strings.Join(off, ", ")
	}
	return "fsync"
}
