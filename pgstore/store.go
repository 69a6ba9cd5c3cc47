package pgstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-db/annals/driver"
)

// Store is a log in a PostgreSQL schema. It fulfils [driver.Log],
// [driver.Submitter], [driver.Locator], [driver.Versioner], [driver.Hasher],
// [driver.Verifier], [driver.Stater] and [driver.Inliner].
type Store struct {
	opts    Options
	pool    *pgxpool.Pool
	ownPool bool
	sql     statements
	mode    pgx.QueryExecMode
	id      driver.ID
	pooled  bool   // whether a pooler stands between, so that a session is not ours to keep
	standby bool   // whether the server only follows another
	why     string // why it cannot be written, "" if it can

	closing context.Context // ended by Close
	close   context.CancelFunc
	closed  atomic.Bool
	writer  sync.WaitGroup // the goroutine that appends
	done    sync.WaitGroup // the others

	queue      queue
	durability atomic.Pointer[string] // as the server last said
	heads      heads
	tree       tree
	infos      gather[struct{}, driver.Info]
	versions   gather[string, uint64]
	pages      gather[lookup, found]

	recordBytes atomic.Int64 // of the records read of late, on average

	hooksMu sync.Mutex // held while hooks are called
	hooks   []*hook
}

var (
	_ driver.Log       = (*Store)(nil)
	_ driver.Submitter = (*Store)(nil)
	_ driver.Locator   = (*Store)(nil)
	_ driver.Versioner = (*Store)(nil)
	_ driver.Hasher    = (*Store)(nil)
	_ driver.Verifier  = (*Store)(nil)
	_ driver.Stater    = (*Store)(nil)
	_ driver.Inliner   = (*Store)(nil)
)

// start sets the store going.
func (s *Store) start() {
	s.closing, s.close = context.WithCancel(context.Background())
	s.mode = s.modeOf(s.pool.Config().ConnConfig)
	s.queue.init()
	s.heads.init()
	s.infos.ask, s.versions.ask, s.pages.ask = s.askInfo, s.askVersions, s.askPages
	if s.why == "" {
		s.writer.Go(s.write)
	}
}

// Schema returns the name of the PostgreSQL schema that holds the log.
func (s *Store) Schema() string { return s.opts.Schema }

// Info says what log this is and where it stands.
func (s *Store) Info(ctx context.Context) (driver.Info, error) {
	return s.infos.do(ctx, s, struct{}{})
}

func (s *Store) infoBy(ctx context.Context, run runner) (driver.Info, error) {
	info := driver.Info{LogID: s.id, Store: "postgres", ReadOnly: s.why, Limits: s.opts.Limits}
	err := run(ctx, "info", s.sql.info, nil, func(rows pgx.Rows) error {
		var head, at *int64
		var settings string
		if err := rows.Scan(&head, &at, &settings); err != nil {
			return err
		}
		if head != nil {
			info.Head, info.Time = driver.Position(*head), nanoseconds(*at)
		}
		info.Durability = durabilityOf(settings)
		return nil
	})
	if err != nil {
		return driver.Info{}, err
	}
	return info, nil
}

// StreamVersion returns the version of stream's last record, 0 if it has none.
func (s *Store) StreamVersion(ctx context.Context, stream string) (uint64, error) {
	if !text(stream) {
		return 0, s.usable(ctx)
	}
	return s.versions.do(ctx, s, stream)
}

// PositionAt returns the last position whose time is at or before t, 0 if there
// is none: by halving the log, a row for each step.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (p driver.Position, err error) {
	err = s.query(ctx, "position at a time", s.sql.locate, []any{clampTime(t)}, func(rows pgx.Rows) error { return rows.Scan((*uint64Of)(&p)) })
	return p, err
}

// usable returns why the store cannot be used, nil if it can.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return driver.ErrClosed
	}
	return ctx.Err()
}

// Close waits for appends under way and releases the store. A pool that the
// store was given stays open.
func (s *Store) Close() error {
	s.queue.close()
	s.writer.Wait() // it answers what was handed over
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	if s.ownPool {
		s.pool.Close()
	}
	return nil
}

// errReadOnly returns the error of an append to a store that is not open for writing.
func (s *Store) errReadOnly() error {
	if s.why == "" {
		return nil
	}
	return errors.Join(driver.ErrReadOnly, errors.New(s.why))
}
