CREATE SCHEMA IF NOT EXISTS annals;
GRANT USAGE ON SCHEMA annals TO PUBLIC;

-- What the application says of the transaction that calls it: who acts, and why.
CREATE OR REPLACE FUNCTION annals.actor(actor text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_logical_emit_message(true, 'annals.actor', json_build_object('actor', actor, 'reason', reason)::text);
END $$;

-- What the server knows of the connection, once in a transaction.
CREATE OR REPLACE FUNCTION annals.witness() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  tx text := pg_current_xact_id()::text;
BEGIN
  IF current_setting('annals.witnessed', true) IS DISTINCT FROM tx THEN
    PERFORM set_config('annals.witnessed', tx, true);
    PERFORM pg_logical_emit_message(true, 'annals.witness', json_build_object('user', session_user, 'role', current_setting('role'),
      'application', current_setting('application_name'), 'client', host(inet_client_addr()), 'pid', pg_backend_pid())::text);
  END IF;
  RETURN NULL;
END $$;

-- What a table is, in the form in which the trail keeps it.
CREATE OR REPLACE FUNCTION annals.columns(t oid) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog SET datestyle = 'ISO, MDY' SET timezone = 'UTC' SET intervalstyle = 'postgres'
SET extra_float_digits = 3 SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
  SELECT json_agg(json_strip_nulls(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'number', attnum,
    'missing', CASE WHEN atthasmissing THEN (attmissingval::text::text[])[1] END)) ORDER BY attnum)
  FROM pg_attribute WHERE attrelid = t AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
$$;

-- Every change of a table.
CREATE OR REPLACE FUNCTION annals.ddl() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  r record;
BEGIN
  IF tg_event = 'table_rewrite' THEN
    PERFORM pg_logical_emit_message(true, 'annals.rewrite', json_build_object('table', pg_event_trigger_table_rewrite_oid()::bigint,
      'reason', pg_event_trigger_table_rewrite_reason())::text);
  ELSIF tg_event = 'sql_drop' THEN
    FOR r IN SELECT objid, schema_name, object_name FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table' AND NOT is_temporary LOOP
      PERFORM pg_logical_emit_message(true, 'annals.drop', json_build_object('table', r.objid::bigint, 'schema', r.schema_name,
        'name', r.object_name, 'command', tg_tag, 'query', left(current_query(), 4000))::text);
    END LOOP;
  ELSE
    -- What is published whole from here on.
    IF tg_tag IN ('CREATE PUBLICATION', 'ALTER PUBLICATION') THEN
      FOR r IN SELECT pubname, coalesce(json_agg(c.oid::bigint) FILTER (WHERE c.oid IS NOT NULL), '[]') AS tables
        FROM pg_publication p LEFT JOIN pg_publication_tables t USING (pubname)
        LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(t.schemaname) || '.' || quote_ident(t.tablename)) AND pubinsert AND pubupdate AND pubdelete AND pubtruncate
          AND NOT EXISTS (SELECT FROM pg_publication_rel f WHERE prpubid = p.oid AND prrelid = c.oid AND coalesce(to_jsonb(f)->>'prqual', to_jsonb(f)->>'prattrs') IS NOT NULL)
        GROUP BY pubname LOOP
        PERFORM pg_logical_emit_message(true, 'annals.published', json_build_object('publication', r.pubname, 'tables', r.tables,
          'query', left(current_query(), 4000))::text);
      END LOOP;
    END IF;
    -- A command on a table changes those that inherit from it, and one on a schema what its tables are called.
    FOR r IN WITH RECURSIVE told AS (SELECT classid, objid FROM pg_event_trigger_ddl_commands()), changed AS (
        SELECT oid FROM pg_class WHERE oid IN (SELECT objid FROM told WHERE classid = 'pg_class'::regclass)
          OR tg_tag = 'ALTER SCHEMA' AND relnamespace IN (SELECT objid FROM told WHERE classid = 'pg_namespace'::regclass)
        UNION SELECT inhrelid FROM pg_inherits JOIN changed ON inhparent = oid WHERE tg_tag = 'ALTER TABLE')
      SELECT c.oid, n.nspname, c.relname, c.relreplident FROM changed JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence = 'p' LOOP
      PERFORM pg_logical_emit_message(true, 'annals.ddl', json_build_object('table', r.oid::bigint, 'schema', r.nspname, 'name', r.relname,
        'command', tg_tag, 'query', left(current_query(), 4000), 'columns', annals.columns(r.oid), 'identity', r.relreplident,
        'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.n), '[]'::json) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, n)
          JOIN pg_attribute a ON a.attnum = k.number WHERE i.indrelid = r.oid AND i.indisprimary AND a.attrelid = r.oid))::text);
    END LOOP;
  END IF;
END $$;
