package pgstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/annals-db/annals/driver"
)

// askInfo answers any number of calls of Info by one statement.
func (s *Store) askInfo(ctx context.Context, keys []struct{}) ([]driver.Info, error) {
	info, err := s.infoBy(ctx, s.query)
	if err == nil {
		s.heads.seen(info.Head)
		s.durability.Store(&info.Durability)
	}
	return slices.Repeat([]driver.Info{info}, len(keys)), err
}

// askVersions answers which versions streams are at.
func (s *Store) askVersions(ctx context.Context, streams []string) ([]uint64, error) {
	versions := make([]uint64, len(streams))
	err := s.query(ctx, "version of a stream", s.sql.versions, []any{streams}, func(rows pgx.Rows) error {
		var n int
		var v uint64Of
		err := rows.Scan(&n, &v)
		versions[n-1] = uint64(v)
		return err
	})
	return versions, err
}

// lookup is a page that is asked for by one key, forwards.
type lookup struct {
	key         key
	after, upTo int64
	limit       int
}

// found is the rows of a lookup.
type found struct {
	rows []row
	head int64 // -1 if there are none
}

// askPages answers lookups.
func (s *Store) askPages(ctx context.Context, lookups []lookup) ([]found, error) {
	all := make([]found, len(lookups))
	var path []int32
	var after, upTo, limit []int64
	var value []string
	var types, tags, streams, category, ids []*string
	for i, l := range lookups {
		all[i].head = -1
		path, value = append(path, int32(l.key.path)), append(value, l.key.value)
		after, upTo, limit = append(after, l.after), append(upTo, l.upTo), append(limit, int64(l.limit))
		types, tags, streams = append(types, l.key.types), append(tags, l.key.tags), append(streams, l.key.streams)
		category, ids = append(category, l.key.category), append(ids, l.key.ids)
	}
	used := paths{}
	for _, l := range lookups {
		used[l.key.path] = true
	}
	args := []any{path, value, after, upTo, limit, types, tags, streams, category, ids}
	err := s.query(ctx, "read", s.sql.pages.of(s.opts.Schema, used), args, func(rows pgx.Rows) error {
		var n int
		var r row
		var head int64
		if err := r.scan(rows, &n, &head); err != nil {
			return err
		}
		all[n-1].rows = append(all[n-1].rows, r)
		all[n-1].head = head
		return nil
	})
	return all, err
}

// paths says which ways to records a statement has.
type paths [byPosition]bool

// pages are the statements of askPages, by the ways that their lookups take:
// to begin a way that is not taken costs as much as the rest.
type pages struct{ known sync.Map }

func (p *pages) of(schema string, used paths) string {
	if sql, ok := p.known.Load(used); ok {
		return sql.(string)
	}
	sql := inSchema(schema, pagesSQL(used))
	p.known.Store(used, sql)
	return sql
}

// pagesSQL has a branch for each path, of which each lookup takes one.
func pagesSQL(used paths) string {
	var branches []string
	for p, take := range used {
		if !take {
			continue
		}
		order := "x.position"
		if p == byTag {
			order = "t.position"
		}
		from := strings.NewReplacer("$1", "k.after", "$2", "k.up_to").Replace(pathSQL[p])
		branches = append(branches, fmt.Sprintf(`(SELECT x.* FROM %s AND k.path = %d AND {filter} ORDER BY %s LIMIT k.most)`, from, p, order))
	}
	return `SELECT k.n, (SELECT position FROM {schema}.events ORDER BY position DESC LIMIT 1), ` + columns + `
		FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
			WITH ORDINALITY AS k(path, value, after, up_to, most, types, tags, streams, category, ids, n)
		CROSS JOIN LATERAL (` + strings.Join(branches, ` UNION ALL `) + `) x ORDER BY k.n, x.position`
}
