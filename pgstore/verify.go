package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// Verify reads every row, and yields a *[driver.CorruptError] for each that is
// missing, is not what its leaf was made of, or does not follow from those
// before it, and for each tag that the table of tags has too many or too few.
// Rows that are cut off the end it cannot miss; a tree head that is kept
// elsewhere shows them.
func (s *Store) Verify(ctx context.Context, progress func(done, total driver.Position)) iter.Seq[error] {
	return func(yield func(error) bool) {
		info, err := s.Info(ctx)
		if err != nil {
			yield(err)
			return
		}
		v := verifier{s: s, versions: map[string]uint64{}}
		r := s.reading(driver.Query{}, driver.ReadOptions{UpTo: info.Head})
		r.begun = true
		told := func(done driver.Position) {
			if progress != nil {
				progress(done, info.Head)
			}
		}
		for r.after < int64(info.Head) {
			page, err := r.next(ctx)
			for i := range page {
				if fault := v.follow(&page[i]); fault != nil && !yield(fault) {
					return
				}
			}
			var corrupt *driver.CorruptError
			switch {
			case errors.As(err, &corrupt):
				if !yield(err) {
					return
				}
				v.lost = true
				r.after = max(int64(corrupt.Position), r.gap)
			case err != nil:
				yield(err)
				return
			}
			told(driver.Position(min(r.after, int64(info.Head))))
		}
		if err := v.tags(ctx, info.Head, yield); err != nil {
			yield(err)
		}
		told(info.Head)
	}
}

// verifier checks each record against those before it.
type verifier struct {
	s        *Store
	versions map[string]uint64
	time     time.Time
	begun    bool
	lost     bool // a record is missing, so the next of each stream need not follow
	batch    driver.Position
	last     driver.Position
}

func (v *verifier) follow(r *driver.Record) error {
	fault := func(format string, args ...any) error {
		return &driver.CorruptError{Position: r.Position, Place: "table " + v.s.opts.Schema + ".events", Reason: fmt.Sprintf(format, args...)}
	}
	var err error
	switch {
	case v.begun && r.Time.Before(v.time):
		err = fault("its time is before that of the record before")
	case r.Batch > r.Position, r.Batch != r.Position && r.Batch != v.batch && r.Position == v.last+1:
		err = fault("its batch is %d, where that of the record before is %d", r.Batch, v.batch)
	case r.Stream == "" && r.Version != 0:
		err = fault("it has version %d and no stream", r.Version)
	case r.Stream != "" && !v.lost && r.Version != v.versions[r.Stream]+1:
		err = fault("it is version %d of %q, the one before is %d", r.Version, r.Stream, v.versions[r.Stream])
	}
	v.begun, v.time, v.batch, v.last = true, r.Time, r.Batch, r.Position
	if r.Stream != "" {
		v.versions[r.Stream] = r.Version
	}
	return err
}

// tags compares the table of tags with the records.
func (v *verifier) tags(ctx context.Context, head driver.Position, yield func(error) bool) error {
	const sql = `(SELECT position, tag, true FROM (SELECT x.position, unnest(x.tags) AS tag FROM {schema}.events x WHERE x.tags IS NOT NULL AND x.position <= $1
			EXCEPT ALL SELECT position, tag FROM {schema}.tags WHERE position <= $1) a)
		UNION ALL
		(SELECT position, tag, false FROM (SELECT position, tag FROM {schema}.tags WHERE position <= $1
			EXCEPT ALL SELECT x.position, unnest(x.tags) FROM {schema}.events x WHERE x.tags IS NOT NULL AND x.position <= $1) b)
		ORDER BY 1, 2 LIMIT 100`
	var faults []error
	err := v.s.query(ctx, "verify", inSchema(v.s.opts.Schema, sql), []any{clamp(head)}, func(rows pgx.Rows) error {
		var p int64
		var tag string
		var missing bool
		if err := rows.Scan(&p, &tag, &missing); err != nil {
			return err
		}
		reason := fmt.Sprintf("it has tag %q, which the record has not", tag)
		if missing {
			reason = fmt.Sprintf("tag %q of the record is missing", tag)
		}
		faults = append(faults, &driver.CorruptError{Position: driver.Position(p), Place: "table " + v.s.opts.Schema + ".tags", Reason: reason})
		return nil
	})
	for _, f := range faults {
		if !yield(f) {
			return nil
		}
	}
	return err
}
