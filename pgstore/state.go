package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

const (
	maxKey   = 1024
	maxValue = 64 << 20
	keysPage = 1000
)

// State returns the small state beside the log, nil if it is open read-only.
func (s *Store) State() driver.State {
	if s.why != "" {
		return nil
	}
	return &state{s}
}

// state is the table state. Revisions are from one sequence, so a key that was
// deleted and made again never has an old one.
type state struct{ s *Store }

func (st *state) Load(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	found := false
	if text(key) {
		err = st.run(ctx, "load", key, `SELECT value, revision FROM {schema}.state WHERE key = $1`, []any{key}, func(rows pgx.Rows) error {
			found = true
			return rows.Scan(&value, (*uint64Of)(&revision))
		})
	} else {
		err = st.s.usable(ctx)
	}
	if err == nil && !found {
		err = fmt.Errorf("load state %q: %w", key, driver.ErrNotFound)
	}
	return value, revision, err
}

func (st *state) Save(ctx context.Context, key string, value []byte, expect uint64) (revision uint64, err error) {
	if err := driver.ValidateState(key, value); err != nil {
		return 0, err
	}
	if value == nil {
		value = []byte{}
	}
	const next = `nextval('{schema}.state_revision')`
	sql, args := `UPDATE {schema}.state SET value = $2, revision = `+next+` WHERE key = $1 AND revision = $3 RETURNING revision`, []any{key, value, clamp(expect)}
	switch expect {
	case 0:
		sql, args = `INSERT INTO {schema}.state (key, value, revision) VALUES ($1, $2, `+next+`) ON CONFLICT (key) DO NOTHING RETURNING revision`, args[:2]
	case driver.AnyRevision:
		sql, args = `INSERT INTO {schema}.state (key, value, revision) VALUES ($1, $2, `+next+`)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision RETURNING revision`, args[:2]
	}
	err = st.change(ctx, "save", key, sql, args, func(rows pgx.Rows) error { return rows.Scan((*uint64Of)(&revision)) })
	if err == nil && revision == 0 {
		err = st.refused(ctx, "save", key, expect)
	}
	return revision, err
}

func (st *state) Delete(ctx context.Context, key string, expect uint64) error {
	if !text(key) {
		return st.s.usable(ctx)
	}
	done := false
	err := st.change(ctx, "delete", key, `DELETE FROM {schema}.state WHERE key = $1 AND (revision = $2 OR $2 = -1) RETURNING true`,
		[]any{key, revisionArg(expect)}, func(rows pgx.Rows) error { return rows.Scan(&done) })
	if err != nil || done || expect == driver.AnyRevision {
		return err
	}
	if expect == 0 {
		if _, _, err := st.Load(ctx, key); errors.Is(err, driver.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return st.refused(ctx, "delete", key, expect)
}

func revisionArg(expect uint64) int64 {
	if expect == driver.AnyRevision {
		return -1
	}
	return clamp(expect)
}

func (st *state) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !text(prefix) {
			return
		}
		after, strict := prefix, false
		for {
			var page []string
			err := st.run(ctx, "list", prefix, `SELECT key FROM {schema}.state WHERE key >= $1 AND (NOT $2 OR key > $1) AND starts_with(key, $3) ORDER BY key LIMIT $4`,
				[]any{after, strict, prefix, keysPage}, func(rows pgx.Rows) error {
					var k string
					err := rows.Scan(&k)
					page = append(page, k)
					return err
				})
			if err != nil {
				yield("", err)
				return
			}
			for _, k := range page {
				if err := st.s.usable(ctx); err != nil {
					yield("", err)
					return
				}
				if !yield(k, nil) {
					return
				}
			}
			if len(page) < keysPage {
				return
			}
			after, strict = page[len(page)-1], true
		}
	}
}

// run runs a reading statement.
func (st *state) run(ctx context.Context, verb, key, sql string, args []any, row func(pgx.Rows) error) error {
	return st.s.query(ctx, fmt.Sprintf("%s state %q", verb, key), inSchema(st.s.opts.Schema, sql), args, row)
}

// change runs a statement that changes the state, once: whether it took effect
// is not known if the connection breaks.
func (st *state) change(ctx context.Context, verb, key, sql string, args []any, row func(pgx.Rows) error) error {
	if err := st.s.usable(ctx); err != nil {
		return err
	}
	_, err := st.s.queryOnce(ctx, inSchema(st.s.opts.Schema, sql), args, row)
	if err != nil && st.s.closed.Load() {
		return driver.ErrClosed
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return wrap(fmt.Sprintf("%s state %q", verb, key), err)
}

// refused says at which revision key is, where another was expected.
func (st *state) refused(ctx context.Context, verb, key string, expect uint64) error {
	_, at, err := st.Load(ctx, key)
	if err != nil && !errors.Is(err, driver.ErrNotFound) {
		return err
	}
	if at == expect {
		return fmt.Errorf("%s state %q: it was not at revision %d a moment ago: %w", verb, key, expect, driver.ErrRevision)
	}
	return fmt.Errorf("%s state %q: it is at revision %d, not %d: %w", verb, key, at, expect, driver.ErrRevision)
}
