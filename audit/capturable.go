package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// capturable returns a *RefusedError if a table cannot be captured.
func capturable(ctx context.Context, q queryer, name Name) error {
	var kind, persistence string
	var keyed, generated bool
	what := "table " + name.String()
	err := q.QueryRow(ctx, `
		SELECT c.relkind::text, c.relpersistence::text, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
		  EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary AND a.attgenerated <> '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
		name.Schema, name.Table).Scan(&kind, &persistence, &keyed, &generated)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &RefusedError{What: what, Reason: "there is none"}
	case err != nil:
		return fmt.Errorf("look at table %s: %w", name, err)
	case name.Schema == "annals":
		return &RefusedError{What: what, Reason: "the schema annals is that of the capture itself"}
	case kind == "p":
		return &RefusedError{What: what, Reason: "it is partitioned, and its rows are in its partitions", Mend: "name the partitions instead"}
	case kind != "r":
		return &RefusedError{What: what, Reason: "it is not a table of rows", Mend: "name the tables that it shows"}
	case persistence != "p":
		return &RefusedError{What: what, Reason: "it is unlogged or temporary, so the server's log has no changes of it", Mend: fmt.Sprintf("ALTER TABLE %s SET LOGGED", name.SQL())}
	case !keyed:
		return &RefusedError{What: what, Reason: "it has no primary key, so its rows have no names", Mend: fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…)", name.SQL())}
	case generated:
		return &RefusedError{What: what, Reason: "its primary key has a generated column, which is not in the stream of changes"}
	}
	return textForms(ctx, q, name)
}

// textForms returns a *RefusedError if a column's type has no text form of its own.
func textForms(ctx context.Context, q queryer, name Name) error {
	var column, typ string
	err := q.QueryRow(ctx, `
		SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1 LEFT JOIN pg_type b ON b.oid = t.typbasetype
		WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		  AND (t.typtype = 'p' OR t.typoutput = 0 OR coalesce(b.typname, e.typname, t.typname) IN
		    ('regclass', 'regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure', 'regrole', 'regtype'))
		ORDER BY a.attnum LIMIT 1`, name.SQL()).Scan(&column, &typ)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at table %s: %w", name, err)
	}
	return &RefusedError{What: fmt.Sprintf("column %q of table %s", column, name),
		Reason: fmt.Sprintf("type %s has no text form of its own: what it prints as is looked up, and changes with the names of other things", typ),
		Mend:   fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE oid", name.SQL(), quote(column))}
}
