package pgstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// A page begins small and then holds about pageBytes.
const (
	firstPage = 128
	lastPage  = 4096
	pageBytes = 4 << 20

	firstBytes = 1 << 20 // what a first page should not be much larger than
)

// Read yields the records that match q, page by page: no connection and no
// snapshot is held while the caller works on one.
func (s *Store) Read(ctx context.Context, q driver.Query, o driver.ReadOptions) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) { s.reading(q, o).yield(ctx)(yield) }
}

// reading is a read under way.
type reading struct {
	s     *Store
	run   runner
	heads *heads // nil within a transaction, which sees what may be undone, and may not see what is known
	o     driver.ReadOptions
	sql   string
	keys  []any // the arguments behind after, upTo and limit
	all   bool  // whether every position is expected
	rows  rowReader
	key   *key // the one, where the first page is asked for together with others'
	begun bool
	ended bool
	gap   int64 // the last position of those found missing

	after, upTo int64 // what is left
	left        int
	page        int
}

// firstPage is how many records a first page has: fewer where they were large of late.
func (s *Store) firstPage() int {
	return int(min(max(firstBytes/max(s.recordBytes.Load(), 1), 1), firstPage))
}

func (s *Store) reading(q driver.Query, o driver.ReadOptions) *reading {
	r := &reading{s: s, run: s.query, heads: &s.heads, o: o, after: clamp(o.After), upTo: clamp(o.UpTo), left: o.Limit, page: s.firstPage()}
	r.rows.place = s.opts.Schema + ".events"
	if r.upTo == 0 {
		r.upTo = math.MaxInt64
	}
	if r.left == 0 {
		r.left = math.MaxInt
	}
	keys := keysOf(q)
	r.all = len(keys) == 1 && keys[0].path == byPosition
	if len(keys) == 1 && !r.all && !o.Backward {
		r.key = &keys[0]
	}
	r.sql, r.keys = inSchema(s.opts.Schema, readSQL(keys, o.Backward)), readArgs(keys)
	return r
}

// yield yields what is left of the read.
func (r *reading) yield(ctx context.Context) iter.Seq2[driver.Record, error] {
	return func(yield func(driver.Record, error) bool) {
		for !r.ended {
			page, err := r.next(ctx)
			for i := range page {
				if err := r.s.usable(ctx); err != nil {
					yield(driver.Record{}, err)
					return
				}
				if !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(driver.Record{}, err)
				return
			}
		}
	}
}

// next returns the next page, and sets ended behind the last.
func (r *reading) next(ctx context.Context) ([]driver.Record, error) {
	limit := min(r.page, r.left)
	var known driver.Position
	if r.heads != nil {
		known, _ = r.heads.now() // before the rows are looked for, so that they must be there
	}
	rows, head, err := r.fetch(ctx, limit)
	if err == nil && !r.begun {
		if head < 0 {
			head = clamp(known)
		}
		rows, err = r.begin(ctx, limit, rows, head)
	}
	if err != nil {
		return nil, err
	}
	page := make([]driver.Record, 0, len(rows))
	var corrupt error
	bytes := 0
	for i := range rows {
		rec, err := r.rows.record(&rows[i])
		if err == nil {
			err = r.follows(rows[i].position)
		}
		if err != nil {
			corrupt = err
			break
		}
		bytes += rec.Size() + 200
		page = append(page, rec)
	}
	r.left -= len(page)
	r.ended = len(rows) < limit || r.left == 0
	if r.ended && corrupt == nil && r.left > 0 {
		corrupt = r.whole()
	}
	if len(page) > 0 {
		r.s.recordBytes.Store((7*r.s.recordBytes.Load() + int64(bytes/len(page))) / 8)
		r.page = min(max(pageBytes/(bytes/len(page)), 1), min(4*r.page, lastPage))
	}
	return page, corrupt
}

// fetch returns the rows of the next page, and the log's head, -1 if it is not known.
func (r *reading) fetch(ctx context.Context, limit int) (rows []row, head int64, err error) {
	if r.sql == "" {
		return nil, -1, nil
	}
	if r.key != nil && !r.begun {
		f, err := r.s.pages.do(ctx, r.s, lookup{*r.key, r.after, r.upTo, limit})
		return f.rows, f.head, err
	}
	head = -1
	err = r.run(ctx, "read", r.sql, append([]any{r.after, r.upTo, limit}, r.keys...), func(from pgx.Rows) error {
		var row row
		err := row.scan(from, &head)
		rows = append(rows, row)
		return err
	})
	return rows, head, err
}

// begin checks the bounds against a head that the first rows were looked for
// at, and holds the read to it. A head that is known from before may lie behind
// the bounds; then the server is asked, and the rows are looked for again.
func (r *reading) begin(ctx context.Context, limit int, rows []row, head int64) ([]row, error) {
	bound := clamp(max(r.o.After, r.o.UpTo))
	if bound > head && len(rows) == 0 {
		err := r.run(ctx, "read", r.s.sql.head, nil, func(rows pgx.Rows) error { return rows.Scan(&head) })
		if err == nil && bound <= head {
			rows, _, err = r.fetch(ctx, limit)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, p := range [...]driver.Position{r.o.After, r.o.UpTo} {
		if clamp(p) > head {
			return nil, &driver.PositionError{What: fmt.Sprintf("position %d", p), Head: driver.Position(head)}
		}
	}
	if r.heads != nil {
		r.heads.seen(driver.Position(head))
	}
	if !r.o.Backward {
		r.upTo = min(r.upTo, head)
	}
	r.begun = true
	return rows, r.s.usable(ctx)
}

// follows notes that p was read, and says what is missing before it.
func (r *reading) follows(p int64) error {
	if !r.o.Backward {
		if r.all && p != r.after+1 {
			return r.missing(r.after+1, p-1)
		}
		r.after = p
		return nil
	}
	if r.all && r.upTo != math.MaxInt64 && p != r.upTo {
		return r.missing(p+1, r.upTo)
	}
	r.upTo = p - 1
	return nil
}

// whole says what is missing behind the last row read.
func (r *reading) whole() error {
	if !r.all || r.after >= r.upTo || r.upTo == math.MaxInt64 {
		return nil
	}
	return r.missing(r.after+1, r.upTo)
}

func (r *reading) missing(from, to int64) error {
	r.gap = to
	return r.rows.corrupt(from, fmt.Sprintf("%d rows are missing", to-from+1))
}

// pathSQL says of each way to records what a key selects from, and how.
var pathSQL = map[int]string{
	byTag:      `{schema}.tags t JOIN {schema}.events x ON x.position = t.position WHERE t.tag = k.value AND t.position > $1 AND t.position <= $2`,
	byID:       `{schema}.events x WHERE x.id = k.value::uuid AND x.position > $1 AND x.position <= $2`,
	byStream:   `{schema}.events x WHERE x.stream = k.value AND x.position > $1 AND x.position <= $2`,
	byType:     `{schema}.events x WHERE x.type = k.value AND x.position > $1 AND x.position <= $2`,
	byCategory: `{schema}.events x WHERE x.stream IS NOT NULL AND split_part(x.stream, '-', 1) = k.value AND x.position > $1 AND x.position <= $2`,
	byPosition: `{schema}.events x WHERE x.position > $1 AND x.position <= $2`,
}

const selectRecords = `SELECT (SELECT position FROM {schema}.events ORDER BY position DESC LIMIT 1), ` + columns + ` `

// readSQL returns the statement that reads what keys find, "" for none.
func readSQL(keys []key, backward bool) string {
	order := " ORDER BY x.position"
	if backward {
		order += " DESC"
	}
	if len(keys) == 0 {
		return ""
	}
	if keys[0].path == byPosition {
		return selectRecords + `FROM ` + pathSQL[byPosition] + order + ` LIMIT $3`
	}
	by := func(p int) string {
		if p == byTag {
			return strings.Replace(order, "x.", "t.", 1)
		}
		return order
	}
	if len(keys) == 1 {
		const k = `(SELECT $4::text AS value, $5::text AS types, $6::text AS tags, $7::text AS streams, $8::text AS category, $9::text AS ids) k, `
		return selectRecords + `FROM ` + k + pathSQL[keys[0].path] + ` AND {filter}` + by(keys[0].path) + ` LIMIT $3`
	}
	var used []int
	for _, k := range keys {
		if !slices.Contains(used, k.path) {
			used = append(used, k.path)
		}
	}
	slices.Sort(used)
	var branches []string
	for _, p := range used {
		branches = append(branches, fmt.Sprintf(`(SELECT x.position FROM %s AND k.path = %d AND {filter}%s LIMIT $3)`, pathSQL[p], p, by(p)))
	}
	return selectRecords + `FROM (SELECT DISTINCT m.position
			FROM unnest($4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[]) AS k(path, value, types, tags, streams, category, ids)
			CROSS JOIN LATERAL (` + strings.Join(branches, ` UNION ALL `) + `) m` + strings.Replace(order, "x.", "m.", 1) + ` LIMIT $3) p
		JOIN {schema}.events x ON x.position = p.position` + order
}

// readArgs returns the arguments of keys in the statement of readSQL.
func readArgs(keys []key) []any {
	switch {
	case len(keys) == 0 || keys[0].path == byPosition:
		return nil
	case len(keys) == 1:
		k := keys[0]
		return []any{k.value, k.types, k.tags, k.streams, k.category, k.ids}
	}
	var path []int32
	var value []string
	var types, tags, streams, category, ids []*string
	for _, k := range keys {
		path = append(path, int32(k.path))
		value = append(value, k.value)
		types, tags, streams = append(types, k.types), append(tags, k.tags), append(streams, k.streams)
		category, ids = append(category, k.category), append(ids, k.ids)
	}
	return []any{path, value, types, tags, streams, category, ids}
}
