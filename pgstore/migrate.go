package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-db/annals/driver"
)

// migrations are the steps from nothing to the schema as this package knows
// it. Step n is schema/00n.sql; a step that was released is never changed.
//
//go:embed schema/*.sql
var migrations embed.FS

// schemaVersion is the number of the last step.
var schemaVersion = func() int {
	files, _ := fs.Glob(migrations, "schema/*.sql")
	return len(files)
}()

// filter is what must hold of a record x besides the key k that it was found by.
const filter = `(k.types IS NULL OR x.type = ANY (k.types::text[])) AND (k.tags IS NULL OR x.tags @> k.tags::text[])
	AND (k.streams IS NULL OR x.stream = ANY (k.streams::text[])) AND (k.category IS NULL OR split_part(x.stream, '-', 1) = k.category)
	AND (k.ids IS NULL OR x.id = ANY (k.ids::uuid[]))`

// inSchema fills in the places that a statement leaves for the schema's name.
func inSchema(schema, sql string) string {
	return strings.NewReplacer("{schema}", pgx.Identifier{schema}.Sanitize(), "{name}", schema, "{filter}", filter).Replace(sql)
}

// migrate makes the schema or brings it up to date, if it may, and reads the
// log's ID. Of several processes one does it, and the others wait.
func (s *Store) migrate(ctx context.Context, conn *pgx.Conn) error {
	version, err := s.schemaOf(ctx, conn)
	if err != nil || version == schemaVersion {
		return err
	}
	if s.why != "" && version > 0 {
		return fmt.Errorf("the schema has version %d, this program needs %d: open it for writing once", version, schemaVersion)
	}
	if version == 0 && (s.why != "" || s.opts.MustExist) {
		return fmt.Errorf("the database holds no log in schema %q: %w", s.opts.Schema, driver.ErrNotFound)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // the transaction has ended, or its error is known
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(1634627937, hashtext($1))`, pgx.QueryExecModeExec, s.opts.Schema); err != nil {
		return err
	}
	if version, err = s.schemaOf(ctx, tx.Conn()); err != nil {
		return err
	}
	if err := s.steps(ctx, tx, version); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	_, err = s.schemaOf(ctx, conn)
	return err
}

// steps runs the steps behind version.
func (s *Store) steps(ctx context.Context, tx pgx.Tx, version int) error {
	if version == schemaVersion {
		return nil
	}
	s.opts.Logger.InfoContext(ctx, "migrating the schema of a log", "schema", s.opts.Schema, "from", version, "to", schemaVersion)
	exec := func(sql string) error {
		_, err := tx.Conn().PgConn().Exec(ctx, inSchema(s.opts.Schema, sql)).ReadAll()
		return err
	}
	if version == 0 {
		// With the schema there already, the right to create one is not needed.
		var there bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, pgx.QueryExecModeExec, s.opts.Schema).Scan(&there)
		if err != nil {
			return err
		}
		if !there {
			if err := exec(`CREATE SCHEMA {schema}`); err != nil {
				return err
			}
		}
	}
	for n := version + 1; n <= schemaVersion; n++ {
		sql, err := migrations.ReadFile(fmt.Sprintf("schema/%03d.sql", n))
		if err != nil {
			return err
		}
		err = exec(string(sql))
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && version == 0 && slices.Contains([]string{"42P07", "42710", "42723"}, pg.Code) {
			return fmt.Errorf("schema %q holds no log, and something else that has one of its names: %w", s.opts.Schema, err)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	if version > 0 {
		_, err := tx.Exec(ctx, inSchema(s.opts.Schema, `UPDATE {schema}.log SET schema_version = $1`), pgx.QueryExecModeExec, schemaVersion)
		return err
	}
	id := s.opts.LogID
	if id == (driver.ID{}) {
		id = uuid.New()
	}
	_, err := tx.Exec(ctx, inSchema(s.opts.Schema, `INSERT INTO {schema}.log (id, schema_version) VALUES ($1, $2)`), pgx.QueryExecModeExec, id.String(), schemaVersion)
	return err
}

// schemaOf returns the version of the schema, 0 if it holds no log, and notes
// the log's ID. A newer one than this package knows is an error.
func (s *Store) schemaOf(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	// to_regclass would be answered from what the session remembers, even where
	// another has made the table meanwhile.
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'log')`,
		pgx.QueryExecModeExec, s.opts.Schema).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	var id string
	err = conn.QueryRow(ctx, inSchema(s.opts.Schema, `SELECT id::text, schema_version::int FROM {schema}.log`), pgx.QueryExecModeExec).Scan(&id, &version)
	pg, _ := errors.AsType[*pgconn.PgError](err)
	foreign := fmt.Errorf("schema %q has a table \"log\" that is not of Annals", s.opts.Schema)
	switch {
	case pg != nil && slices.Contains([]string{"42703", "42846", "22P02"}, pg.Code): // no such column, or no such value in it
		return 0, foreign
	case errors.Is(err, pgx.ErrNoRows):
		return 0, errors.New("the table \"log\" of the schema is empty: the log was not restored whole")
	case err != nil:
		return 0, err
	case version > schemaVersion:
		return 0, fmt.Errorf("the schema has version %d, made by a newer Annals; this program knows %d", version, schemaVersion)
	}
	if s.id, err = uuid.Parse(id); err != nil {
		return 0, foreign
	}
	return version, nil
}
