package sqlbook

import "strings"

// Dialect is what differs between databases.
type Dialect struct {
	create     string            // makes the table of keys
	lock       string            // reads the value of key $1, which nobody else may then lock
	columns    string            // name, whether it is of the primary key, and type of the columns of table $1
	view       []string          // makes NAME a read-only view of TABLE
	parameters *strings.Replacer // of $1, $2 …
}

// SQLite is that of SQLite from 3.39 on. Its views are read-only.
var SQLite = &Dialect{
	create: `CREATE TABLE IF NOT EXISTS annals_projections (key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
	// A write first, so that the transaction never has to be upgraded.
	lock:       `UPDATE annals_projections SET value = value WHERE key = $1 RETURNING value`,
	columns:    `SELECT name, pk > 0, type FROM pragma_table_info($1) ORDER BY cid`,
	view:       []string{"DROP VIEW IF EXISTS NAME", "CREATE VIEW NAME AS SELECT * FROM TABLE"},
	parameters: strings.NewReplacer("$", "?"),
}

// Postgres is that of PostgreSQL.
var Postgres = &Dialect{
	create: `CREATE TABLE IF NOT EXISTS annals_projections (key text COLLATE "C" PRIMARY KEY, value text NOT NULL)`,
	lock:   `SELECT value FROM annals_projections WHERE key = $1 FOR UPDATE`,
	columns: `SELECT a.attname::text, coalesce(a.attnum = ANY (i.indkey), false), format_type(a.atttypid, NULL)
		FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
	// Where the columns allow it the view is replaced, and keeps its grants and what depends on it.
	view: []string{
		`SELECT pg_advisory_xact_lock(hashtext('annals_projection_view'))`, // the function is everybody's
		`DO $body$ BEGIN CREATE OR REPLACE VIEW NAME AS SELECT * FROM TABLE;
		EXCEPTION WHEN invalid_table_definition THEN DROP VIEW NAME; CREATE VIEW NAME AS SELECT * FROM TABLE; END $body$`,
		`CREATE OR REPLACE FUNCTION annals_projection_view() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN RAISE EXCEPTION '% shows the live version of a projection and is read-only: handlers write to projection.At(ctx, "%")', TG_TABLE_NAME, TG_TABLE_NAME; END $body$`,
		`CREATE OR REPLACE TRIGGER annals_projection_view INSTEAD OF INSERT OR UPDATE OR DELETE ON NAME FOR EACH ROW EXECUTE FUNCTION annals_projection_view()`,
	},
	parameters: strings.NewReplacer(),
}

// show returns what makes name a view of table.
func (d *Dialect) show(name, table string) []string {
	if table == "" {
		return []string{"DROP VIEW IF EXISTS " + quote(name)}
	}
	var queries []string
	for _, q := range d.view {
		queries = append(queries, strings.NewReplacer("NAME", quote(name), "TABLE", table).Replace(q))
	}
	return queries
}
