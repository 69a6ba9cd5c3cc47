package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// server looks at the server's version and settings.
func (c *checker) server(ctx context.Context) error {
	var version, slots, used, senders int
	var level, keep string
	err := c.scan(ctx, "the server's settings", `
		SELECT current_setting('server_version_num')::int, current_setting('wal_level'), current_setting('max_replication_slots')::int,
		  (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> $1)::int, current_setting('max_wal_senders')::int, current_setting('max_slot_wal_keep_size')`,
		[]any{c.o.Slot}, &version, &level, &slots, &used, &senders, &keep)
	if err != nil {
		return err
	}
	c.add(version >= 140000, Finding{What: "server version", Detail: fmt.Sprintf("%d; messages of who and why need PostgreSQL 14 or later", version/10000), Then: "upgrade the server"})
	c.add(level == "logical", Finding{What: "wal_level", Detail: level + "; changes of rows are in the server's log only at logical",
		SQL: "ALTER SYSTEM SET wal_level = 'logical'", Then: "restart the server"})
	c.add(used < slots, Finding{What: "max_replication_slots", Detail: fmt.Sprintf("%d, and %d are in use by others", slots, used),
		SQL: fmt.Sprintf("ALTER SYSTEM SET max_replication_slots = %d", used+5), Then: "restart the server"})
	c.add(senders > 0, Finding{What: "max_wal_senders", Detail: fmt.Sprint(senders), SQL: "ALTER SYSTEM SET max_wal_senders = 5", Then: "restart the server"})
	c.add(keep != "-1", Finding{What: "max_slot_wal_keep_size", Advice: true,
		Detail: keep + "; -1 is no limit, so that the server's disk fills up if capture stops for long; with a limit, the slot is lost instead",
		SQL:    "ALTER SYSTEM SET max_slot_wal_keep_size = '…GB'; SELECT pg_reload_conf()"})
	return nil
}

// rights looks at what the database user may do.
func (c *checker) rights(ctx context.Context) error {
	var replication, create bool
	err := c.scan(ctx, "the database user", `SELECT rolname::text, rolsuper, rolreplication OR rolsuper, has_database_privilege(current_database(), 'CREATE')
		FROM pg_roles WHERE rolname = current_user`, nil, &c.user, &c.super, &replication, &create)
	if err != nil {
		return err
	}
	c.add(replication, Finding{What: "right to replicate", Detail: "user " + c.user, SQL: "ALTER ROLE " + quote(c.user) + " REPLICATION"})
	var database string
	if err := c.scan(ctx, "the database", "SELECT current_database()::text", nil, &database); err != nil {
		return err
	}
	var there bool
	if err := c.scan(ctx, "schema annals", "SELECT to_regnamespace('annals') IS NOT NULL", nil, &there); err != nil {
		return err
	}
	c.add(create || there, Finding{What: "right to make the schema annals", Detail: "user " + c.user, SQL: "GRANT CREATE ON DATABASE " + quote(database) + " TO " + quote(c.user)})
	return nil
}

// named looks at the tables.
func (c *checker) named(ctx context.Context) error {
	if len(c.tables) == 0 {
		tables, err := published(ctx, c.conn, c.o.Publication)
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		c.tables = tables
	}
	if len(c.tables) == 0 {
		c.add(false, Finding{What: "tables", Detail: "none are named, and the publication has none", Then: "name them: --tables orders,customers"})
	}
	var good []Name
	for _, t := range c.tables {
		err := capturable(ctx, c.conn, t)
		var refused *RefusedError
		if errors.As(err, &refused) {
			f := Finding{What: refused.What, Detail: refused.Reason}
			if strings.HasPrefix(refused.Mend, "ALTER") {
				f.SQL = refused.Mend
			} else {
				f.Then = refused.Mend
			}
			c.add(false, f)
			continue
		}
		if err != nil {
			return err
		}
		good = append(good, t)
		if err := c.table(ctx, t); err != nil {
			return err
		}
	}
	c.tables = good
	return nil
}

// table looks at one that can be captured.
func (c *checker) table(ctx context.Context, t Name) error {
	var reads, filtered bool
	if err := c.scan(ctx, "table "+t.String(), "SELECT has_table_privilege($1::text, 'SELECT'), row_security_active($1::text)", []any{t.SQL()}, &reads, &filtered); err != nil {
		return err
	}
	c.add(reads, Finding{What: "table " + t.String(), Detail: "the user may read it", SQL: fmt.Sprintf("GRANT SELECT ON %s TO %s", t.SQL(), quote(c.user))})
	if filtered {
		c.add(false, Finding{What: "table " + t.String(), Detail: "its row security hides rows from the user, so that it cannot be read whole",
			SQL: fmt.Sprintf("ALTER ROLE %s BYPASSRLS", quote(c.user))})
	}
	d, err := describe(ctx, c.conn, t)
	if err != nil {
		return err
	}
	if len(d.Omitted) > 0 {
		c.add(false, Finding{What: "table " + t.String(), Advice: true,
			Detail: "generated columns are not in the stream of changes, and not in the trail: " + strings.Join(d.Omitted, ", ")})
	}
	return nil
}

// functions looks at the schema annals.
func (c *checker) functions(ctx context.Context) error {
	var comment string
	err := c.scan(ctx, "schema annals", "SELECT coalesce(obj_description(to_regnamespace('annals'), 'pg_namespace'), '')", nil, &comment)
	if err != nil {
		return err
	}
	c.add(comment == setupVersion, Finding{What: "schema annals", Detail: "the functions by which applications and triggers say who and why",
		SQL: setupSQL + "COMMENT ON SCHEMA annals IS " + literal(setupVersion) + ";\n"})
	return nil
}

// guard looks whether everybody may send messages.
func (c *checker) guard(ctx context.Context) error {
	ok, err := guarded(ctx, c.conn)
	if err != nil {
		return err
	}
	// Set-up's functions send as their owner, who may have had the right as everybody has it.
	var owner string
	var able, super bool
	err = c.scan(ctx, "the owner of the functions in schema annals", `
		SELECT r.rolname::text, r.rolsuper, has_function_privilege(r.oid, 'pg_logical_emit_message(boolean, text, text)', 'EXECUTE')
		FROM pg_roles r WHERE r.oid = coalesce((SELECT min(proowner::bigint)::oid FROM pg_proc WHERE pronamespace = to_regnamespace('annals') AND proname = 'witness'),
		  (SELECT oid FROM pg_roles WHERE rolname = current_user))`, nil, &owner, &super, &able)
	if err != nil {
		return err
	}
	const messages = "EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea)"
	grant := "GRANT " + messages + " TO " + quote(owner)
	if !able {
		c.add(false, Finding{What: "who may send messages", Detail: fmt.Sprintf("not %s, as whom the functions in schema annals do, so that every write to an audited table fails", owner),
			SQL: grant, Then: c.bySuperuser()})
		return nil
	}
	sql := "REVOKE " + messages + " FROM PUBLIC"
	if !super {
		sql = grant + "; " + sql
	}
	c.add(ok, Finding{What: "who may send messages", Advice: !c.super,
		Detail: "while everybody may, the server cannot vouch for who made a change", SQL: sql, Then: c.bySuperuser()})
	return nil
}

// bySuperuser says who has to do what the user cannot.
func (c *checker) bySuperuser() string {
	if c.super {
		return ""
	}
	return "a superuser has to do it"
}

// eventTriggers looks whether changes of tables are told.
func (c *checker) eventTriggers(ctx context.Context) error {
	for _, t := range []struct{ name, event string }{{"annals_ddl", "ddl_command_end"}, {"annals_drop", "sql_drop"}, {"annals_rewrite", "table_rewrite"}} {
		var there bool
		if err := c.scan(ctx, "event trigger "+t.name, "SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = $1 AND evtenabled <> 'D')", []any{t.name}, &there); err != nil {
			return err
		}
		f := Finding{What: "event trigger " + t.name, Advice: c.o.NoEventTrigger || !c.super,
			Detail: "without it a change of a table's columns is seen only when one of its rows next changes, and the table is then read again whole",
			SQL:    fmt.Sprintf("CREATE EVENT TRIGGER %s ON %s EXECUTE FUNCTION annals.ddl(); ALTER EVENT TRIGGER %s ENABLE ALWAYS", t.name, t.event, t.name)}
		if !there && !c.super {
			f.Then = "a superuser has to make it"
		}
		c.add(there, f)
	}
	return nil
}

// publication looks at what is published.
func (c *checker) publication(ctx context.Context) error {
	var there, whole bool
	err := c.scan(ctx, "publication "+c.o.Publication, `SELECT count(*) = 1, coalesce(bool_and(pubinsert AND pubupdate AND pubdelete AND pubtruncate), false)
		FROM pg_publication WHERE pubname = $1`, []any{c.o.Publication}, &there, &whole)
	if err != nil {
		return err
	}
	var list []string
	for _, t := range c.tables {
		list = append(list, t.SQL())
	}
	what := "publication " + c.o.Publication
	if !there {
		sql := ""
		if len(list) > 0 {
			sql = fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s", quote(c.o.Publication), strings.Join(list, ", "))
		}
		c.add(false, Finding{What: what, Detail: "there is none", SQL: sql})
		return nil
	}
	c.add(whole, Finding{What: what, Detail: "it has inserts, updates, deletes and truncates",
		SQL: fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", quote(c.o.Publication))})
	has, err := published(ctx, c.conn, c.o.Publication)
	if err != nil {
		return err
	}
	for _, t := range c.tables {
		c.add(slices.Contains(has, t), Finding{What: what, Detail: "it has table " + t.String(),
			SQL: fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", quote(c.o.Publication), t.SQL())})
	}
	return c.filters(ctx, what)
}

// filters refuses a publication that leaves out rows or columns (PostgreSQL 15).
func (c *checker) filters(ctx context.Context, what string) error {
	var version int
	if err := c.scan(ctx, what, "SELECT current_setting('server_version_num')::int", nil, &version); err != nil || version < 150000 {
		return err
	}
	var filtered []string
	err := c.scan(ctx, what, `SELECT coalesce(array_agg(prrelid::regclass::text), '{}') FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
		WHERE p.pubname = $1 AND (prqual IS NOT NULL OR prattrs IS NOT NULL)`, []any{c.o.Publication}, &filtered)
	if err != nil {
		return err
	}
	if len(filtered) > 0 {
		c.add(false, Finding{What: what, Detail: "it leaves out rows or columns of " + strings.Join(filtered, ", "),
			SQL: fmt.Sprintf("ALTER PUBLICATION %s SET TABLE …", quote(c.o.Publication))})
	}
	return nil
}

// identities looks whether messages have all old values.
func (c *checker) identities(ctx context.Context) error {
	for _, t := range c.tables {
		var identity string
		if err := c.scan(ctx, "table "+t.String(), "SELECT relreplident::text FROM pg_class WHERE oid = $1::text::regclass", []any{t.SQL()}, &identity); err != nil {
			return err
		}
		detail := "with it a change comes with all old values; else they are taken from the trail"
		if identity == "n" {
			detail = "without an identity the server refuses updates and deletes of a published table"
		}
		c.add(identity == "f" || c.o.KeyIdentity && identity == "d", Finding{What: "replica identity of " + t.String(), Detail: detail,
			SQL: fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", t.SQL(), map[bool]string{true: "DEFAULT", false: "FULL"}[c.o.KeyIdentity])})
	}
	return nil
}

// witnesses looks at the statement triggers.
func (c *checker) witnesses(ctx context.Context) error {
	if c.o.NoWitness {
		return nil
	}
	for _, t := range c.tables {
		var there bool
		err := c.scan(ctx, "table "+t.String(), "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = 'annals_witness' AND tgenabled = 'A')", []any{t.SQL()}, &there)
		if err != nil {
			return err
		}
		c.add(there, Finding{What: "statement trigger on " + t.String(), Detail: "it says database user, application and client address",
			SQL: fmt.Sprintf("CREATE OR REPLACE TRIGGER annals_witness BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION annals.witness();\nALTER TABLE %s ENABLE ALWAYS TRIGGER annals_witness", t.SQL(), t.SQL())})
	}
	return nil
}

// slot looks at the replication slot.
func (c *checker) slot(ctx context.Context) error {
	st, err := readSlot(ctx, c.conn, c.o.Slot)
	if err != nil {
		return err
	}
	what := "slot " + c.o.Slot
	var database string
	if err := c.scan(ctx, what, "SELECT current_database()::text", nil, &database); err != nil {
		return err
	}
	drop := fmt.Sprintf("name another slot, or drop this one if nothing needs it: SELECT pg_drop_replication_slot(%s)", literal(c.o.Slot))
	switch {
	case !st.exists:
		c.add(true, Finding{What: what, Detail: "capture makes it when it first begins"})
	case st.plugin != "pgoutput" || st.database != database:
		c.add(false, Finding{What: what, Detail: fmt.Sprintf("it is of plugin %s, database %q", st.plugin, st.database), Then: drop})
	case st.walState == "lost":
		c.add(false, Finding{What: what, Detail: "the server has removed log that it needed: changes are lost to it", Then: drop})
	case st.activePID != 0:
		c.add(true, Finding{What: what, Detail: fmt.Sprintf("in use by server process %d, %d bytes kept for it", st.activePID, st.kept)})
	default:
		c.add(true, Finding{What: what, Detail: fmt.Sprintf("it is there and not in use, %d bytes kept for it", st.kept)})
	}
	return nil
}

// published returns the tables of a publication.
func published(ctx context.Context, q queryer, publication string) ([]Name, error) {
	var there bool
	if err := q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", publication).Scan(&there); err != nil {
		return nil, fmt.Errorf("look at publication %q: %w", publication, err)
	}
	if !there {
		return nil, &RefusedError{What: "publication " + publication, Reason: "there is none", Mend: "annals audit init --tables … --apply"}
	}
	rows, err := q.Query(ctx, "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1 AND schemaname <> 'annals' ORDER BY 1, 2", publication)
	if err != nil {
		return nil, fmt.Errorf("look at publication %q: %w", publication, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Name])
}

// guarded reports whether not everybody can send messages, but set-up's
// functions and superusers, so that what the statement trigger says is the server's word.
func guarded(ctx context.Context, q queryer) (ok bool, err error) {
	err = q.QueryRow(ctx, `
		SELECT bool_and(NOT has_function_privilege('public', p.oid, 'EXECUTE'))
		FROM pg_proc p WHERE p.proname = 'pg_logical_emit_message' AND p.pronamespace = 'pg_catalog'::regnamespace`).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("look who may send messages: %w", err)
	}
	return ok, nil
}
