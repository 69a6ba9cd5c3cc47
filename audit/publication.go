package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// publication is what the event trigger tells of a publication after a command.
type publication struct {
	Publication string
	Tables      []uint32 // the OIDs of those of which every change is published
	Query       string
}

// publishes takes a command on the publication. Of a table of which it does not
// publish every change the trail cannot know what becomes of it, until it is published
// whole again, and read.
func (s *session) publishes(ctx context.Context, p *publication) error {
	shown, err := s.settled(ctx)
	if err != nil {
		return err
	}
	s.looked = time.Time{} // tables may have been added
	var gone []*table
	for _, t := range s.state.tables {
		if !slices.Contains(p.Tables, t.OID) {
			gone = append(gone, t)
		}
	}
	for _, t := range gone {
		if !s.guarded.Load() && shown {
			believed, err := s.publishedAnew(ctx, t.OID)
			if err != nil {
				return err
			}
			if !believed {
				if err := s.tx.odd("annals.published", fmt.Errorf("table %s is published", t.name)); err != nil {
					return err
				}
				continue
			}
		}
		reason := "it is not published whole: " + text(&p.Query)
		s.o.Logger.Warn("a table is not in the trail from here on", "table", t.name.String(), "why", reason)
		out := &leftOut{Schema: t.Schema, Table: t.Table, OID: t.OID, From: s.state.lsn.String(), Reason: reason, Unpublished: true}
		if err := s.goes(ctx, t.name, t, out); err != nil {
			return err
		}
		s.relations[t.OID] = nil
		delete(s.pending, t.OID)
	}
	return nil
}

// publishedAnew reports whether the catalog bears out that a table was not
// published whole at the transaction: it is not, or became so by it or later.
func (s *session) publishedAnew(ctx context.Context, oid uint32) (bool, error) {
	whole, err := publishedWhole(ctx, s.sql, s.o.Publication, oid)
	if err != nil || !whole {
		return err == nil, err
	}
	var written bool
	err = s.sql.QueryRow(ctx, `SELECT coalesce(bool_or(age(x.xmin) <= age($3::text::xid)), false) FROM (
		SELECT xmin FROM pg_publication WHERE pubname = $1
		UNION ALL SELECT r.xmin FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1 AND r.prrelid = $2) x`,
		s.o.Publication, oid, strconv.FormatUint(uint64(s.tx.xid), 10)).Scan(&written)
	if err != nil {
		return false, fmt.Errorf("look at publication %q: %w", s.o.Publication, err)
	}
	return written, nil
}

// publishedWhole reports whether a publication has every change of a table.
func publishedWhole(ctx context.Context, q queryer, publication string, oid uint32) (whole bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_publication p JOIN pg_publication_tables t USING (pubname)
		WHERE pubname = $1 AND to_regclass(quote_ident(t.schemaname) || '.' || quote_ident(t.tablename)) = $2::oid AND pubinsert AND pubupdate AND pubdelete AND pubtruncate
		AND NOT EXISTS (SELECT FROM pg_publication_rel f WHERE prpubid = p.oid AND prrelid = $2::oid AND coalesce(to_jsonb(f)->>'prqual', to_jsonb(f)->>'prattrs') IS NOT NULL))`,
		publication, oid).Scan(&whole)
	if err != nil {
		return false, fmt.Errorf("look at publication %q: %w", publication, err)
	}
	return whole, nil
}
