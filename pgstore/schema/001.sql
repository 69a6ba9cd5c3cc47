-- One row: what this log is.
CREATE TABLE {schema}.log (
	one            boolean PRIMARY KEY DEFAULT true CHECK (one),
	id             uuid NOT NULL,
	schema_version int NOT NULL,
	created        timestamptz NOT NULL DEFAULT now()
);

-- The log: a row for each record. Rows are only ever inserted.
CREATE TABLE {schema}.events (
	position   bigint PRIMARY KEY,           -- from 1 with no gap
	version    bigint NOT NULL,              -- within the stream, from 1 with no gap; 0 without a stream
	time       bigint NOT NULL,              -- when the log took it: nanoseconds since 1970 UTC
	occurred   bigint,                       -- when it happened, likewise; null means time
	batch      bigint NOT NULL,              -- the position of the first record of its batch
	id         uuid NOT NULL UNIQUE,
	stream     text COLLATE "C",             -- null for none
	type       text COLLATE "C" NOT NULL,
	encoding   text COLLATE "C" NOT NULL,    -- of data; empty for JSON
	tags       text[] COLLATE "C",           -- in the order given; null for none
	metadata   jsonb,                        -- an object of texts; null for none
	conditions json,                         -- what the batch relied on, on its first record
	data       bytea NOT NULL,               -- the payload, verbatim
	leaf       bytea NOT NULL                -- SHA-256 over all of the above, and the log's hash tree
);
CREATE INDEX events_stream ON {schema}.events (stream, position) WHERE stream IS NOT NULL;
CREATE INDEX events_type ON {schema}.events (type, position);
CREATE INDEX events_category ON {schema}.events (split_part(stream, '-', 1), position) WHERE stream IS NOT NULL;

-- Where each tag is.
CREATE TABLE {schema}.tags (
	tag      text COLLATE "C" NOT NULL,
	position bigint NOT NULL,
	PRIMARY KEY (tag, position)
);

-- The small state beside the log: checkpoints, leases, snapshots.
CREATE SEQUENCE {schema}.state_revision;
CREATE TABLE {schema}.state (
	key      text COLLATE "C" PRIMARY KEY,
	value    bytea NOT NULL,
	revision bigint NOT NULL
);

-- json_or_null gives data as jsonb, null where it is not JSON or holds what
-- jsonb cannot (a NUL, a number too large).
CREATE FUNCTION {schema}.json_or_null(data bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	RETURN convert_from(data, 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END $$;

-- The log for people: times as such, the payload as jsonb where it is JSON.
CREATE VIEW {schema}.records AS
SELECT position, stream, version, type, id,
	timestamptz 'epoch' + time / 1000 * interval '1 microsecond' AS time,
	timestamptz 'epoch' + coalesce(occurred, time) / 1000 * interval '1 microsecond' AS occurred,
	batch, tags, metadata, conditions, encoding,
	CASE WHEN encoding = '' THEN {schema}.json_or_null(data) END AS data,
	data AS payload
FROM {schema}.events;

-- append judges batches, in their order, and inserts those that may be. It is
-- the only writer of events and tags. The lock makes the order of the log: it
-- is held until the transaction has committed, so positions become visible in
-- order. Each statement sees what was committed before it, which is why the
-- isolation level must be READ COMMITTED.
--
-- Arrays are parallel: by batch, by event, by condition, by key of a query of a
-- condition, and by pair of a condition and an earlier event of the same call
-- that its query matches. Ordinals count from 1.
--
-- Of each batch it answers a status: 0 appended, 1 an ID is known, 2 the
-- condition "which" fails because of "at" (a position, or the version a stream
-- is at), 3 it is after a position beyond the head, 4 the time given is before
-- "at"; and the head that it was judged at.
CREATE FUNCTION {schema}.append(
	judge_only         boolean,   -- judge without the lock, insert nothing
	clock              bigint,    -- the time, null for the server's clock
	batch_events       int[],     -- the ordinal of its last event
	batch_conditions   int[],     -- the ordinal of its last condition
	batch_time         bigint[],  -- the time given, or null
	streams            text[],    -- the distinct streams named by ordinals
	event_stream       int[],     -- 0 for none
	event_stream_name  text[],
	event_id           uuid[],
	event_type         text[],
	event_encoding     text[],
	event_tags         text[],    -- literals of text[]
	event_metadata     text[],
	event_conditions   text[],
	event_occurred     bigint[],
	event_data         bytea[],
	leaf_stream        bytea[],   -- the parts of the leaf between the numbers that are assigned here
	leaf_name          bytea[],
	leaf_about         bytea[],
	leaf_rest          bytea[],
	condition_kind     int[],
	condition_stream   int[],
	condition_version  bigint[],
	condition_after    bigint[],
	key_condition      int[],
	key_path           int[],     -- 1 tag, 2 ID, 3 stream, 4 type, 5 category, 6 everything
	key_value          text[],
	key_types          text[],    -- what must hold besides, literals of arrays; null for nothing
	key_tags           text[],
	key_streams        text[],
	key_category       text[],
	key_ids            text[],
	near_condition     int[],
	near_event         int[],
	OUT status    int[],
	OUT which     int[],
	OUT at        bigint[],
	OUT heads     bigint[],
	OUT positions bigint[],       -- by event, null if not appended
	OUT versions  bigint[],
	OUT times     bigint[],       -- by batch
	OUT durability text           -- the settings that make a commit durable
)
LANGUAGE plpgsql
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
	batches   CONSTANT int := cardinality(batch_events);
	events    CONSTANT int := cardinality(event_id);
	head      bigint;
	head_time bigint;
	now_time  bigint := clock;
	version   bigint[];  -- by ordinal of the stream
	found     bigint[];  -- by condition: a record that its query matches
	first_of  bigint[];  -- by event: the first position of its batch
	time_of   bigint[];  -- by event
	e int := 0; c int := 0; d int := 1;
	s int; first bigint; batch_at bigint;
	r record;
BEGIN
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION USING ERRCODE = 'AN003', MESSAGE = format(
			'an append cannot be judged at isolation level %s, only at READ COMMITTED', current_setting('transaction_isolation'));
	END IF;
	IF NOT judge_only THEN
		PERFORM pg_advisory_xact_lock(1634627937, '{schema}.events'::regclass::oid::int);
	END IF;
	SELECT x.position, x.time INTO head, head_time FROM {schema}.events x ORDER BY x.position DESC LIMIT 1;
	head := coalesce(head, 0);
	IF now_time IS NULL THEN
		now_time := extract(epoch FROM clock_timestamp()) * 1000000000;
	END IF;
	status := array_fill(0, ARRAY[batches]);
	which := array_fill(0, ARRAY[batches]);
	at := array_fill(0::bigint, ARRAY[batches]);
	heads := array_fill(0::bigint, ARRAY[batches]);
	times := array_fill(0::bigint, ARRAY[batches]);
	positions := array_fill(NULL::bigint, ARRAY[events]);
	versions := array_fill(0::bigint, ARRAY[events]);
	first_of := array_fill(0::bigint, ARRAY[events]);
	time_of := array_fill(0::bigint, ARRAY[events]);

	FOR r IN SELECT u.n FROM unnest(event_id) WITH ORDINALITY AS u(id, n) JOIN {schema}.events x ON x.id = u.id LOOP
		FOR b IN 1 .. batches LOOP
			IF r.n <= batch_events[b] THEN
				status[b] := 1;
				EXIT;
			END IF;
		END LOOP;
	END LOOP;
	SELECT array_agg(coalesce(l.version, 0) ORDER BY u.n) INTO version
	FROM unnest(streams) WITH ORDINALITY AS u(name, n)
	LEFT JOIN LATERAL (SELECT x.version FROM {schema}.events x WHERE x.stream = u.name ORDER BY x.position DESC LIMIT 1) l ON true;
	IF cardinality(key_condition) > 0 THEN
		found := array_fill(NULL::bigint, ARRAY[cardinality(condition_kind)]);
		FOR r IN
			SELECT k.c, min(m.position) AS position
			FROM unnest(key_condition, key_path, key_value, key_types, key_tags, key_streams, key_category, key_ids)
				AS k(c, path, value, types, tags, streams, category, ids)
			CROSS JOIN LATERAL (
				(SELECT x.position FROM {schema}.tags t JOIN {schema}.events x ON x.position = t.position
				WHERE k.path = 1 AND t.tag = k.value AND t.position > condition_after[k.c] AND {filter} ORDER BY t.position LIMIT 1)
				UNION ALL
				(SELECT x.position FROM {schema}.events x
				WHERE k.path = 2 AND x.id = k.value::uuid AND x.position > condition_after[k.c] AND {filter} LIMIT 1)
				UNION ALL
				(SELECT x.position FROM {schema}.events x
				WHERE k.path = 3 AND x.stream = k.value AND x.position > condition_after[k.c] AND {filter} ORDER BY x.position LIMIT 1)
				UNION ALL
				(SELECT x.position FROM {schema}.events x
				WHERE k.path = 4 AND x.type = k.value AND x.position > condition_after[k.c] AND {filter} ORDER BY x.position LIMIT 1)
				UNION ALL
				(SELECT x.position FROM {schema}.events x
				WHERE k.path = 5 AND x.stream IS NOT NULL AND split_part(x.stream, '-', 1) = k.value
					AND x.position > condition_after[k.c] AND {filter} ORDER BY split_part(x.stream, '-', 1), x.position LIMIT 1)
				UNION ALL
				(SELECT x.position FROM {schema}.events x
				WHERE k.path = 6 AND x.position > condition_after[k.c] ORDER BY x.position LIMIT 1)
			) m GROUP BY k.c
		LOOP
			found[r.c] := r.position;
		END LOOP;
	END IF;

	FOR b IN 1 .. batches LOOP
		WHILE status[b] = 0 AND c < batch_conditions[b] LOOP
			c := c + 1;
			CASE condition_kind[c]
			WHEN 1 THEN
				IF condition_after[c] > head THEN
					status[b] := 3;
				ELSIF found[c] IS NOT NULL THEN
					status[b] := 2;
					at[b] := found[c];
				END IF;
				WHILE d <= cardinality(near_condition) AND near_condition[d] <= c LOOP
					IF status[b] = 0 AND near_condition[d] = c AND positions[near_event[d]] > condition_after[c] THEN
						status[b] := 2;
						at[b] := positions[near_event[d]];
					END IF;
					d := d + 1;
				END LOOP;
			ELSE
				s := condition_stream[c];
				IF (condition_kind[c] = 2 AND version[s] <> condition_version[c])
					OR (condition_kind[c] = 3 AND version[s] <> 0) OR (condition_kind[c] = 4 AND version[s] = 0) THEN
					status[b] := 2;
					at[b] := version[s];
				END IF;
			END CASE;
			which[b] := c;
		END LOOP;
		c := batch_conditions[b];
		IF status[b] = 0 AND batch_time[b] < head_time THEN
			status[b] := 4;
			at[b] := head_time;
		END IF;
		heads[b] := head;
		IF status[b] <> 0 THEN
			e := batch_events[b];
			CONTINUE;
		END IF;
		batch_at := coalesce(batch_time[b], greatest(now_time, head_time));
		first := head + 1;
		WHILE e < batch_events[b] LOOP
			e := e + 1;
			head := head + 1;
			positions[e] := head;
			first_of[e] := first;
			time_of[e] := batch_at;
			s := event_stream[e];
			IF s > 0 THEN
				version[s] := version[s] + 1;
				versions[e] := version[s];
			END IF;
		END LOOP;
		times[b] := batch_at;
		head_time := batch_at;
	END LOOP;
	durability := concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'));
	IF judge_only THEN
		RETURN;
	END IF;

	INSERT INTO {schema}.events (position, version, time, occurred, batch, id, stream, type, encoding, tags, metadata, conditions, data, leaf)
	SELECT u.position, u.version, u.time, u.occurred, u.batch, u.id, u.stream, u.type, u.encoding, u.tags::text[], u.metadata::jsonb, u.conditions::json, u.data,
		sha256('\x0001'::bytea || int8send(u.position) || u.leaf_stream || int8send(u.version) || u.leaf_name || int8send(u.time)
			|| int8send(coalesce(u.occurred, u.time)) || u.leaf_about || int8send(u.batch) || u.leaf_rest)
	FROM unnest(positions, versions, time_of, event_occurred, first_of, event_id, event_stream_name, event_type, event_encoding, event_tags,
			event_metadata, event_conditions, event_data, leaf_stream, leaf_name, leaf_about, leaf_rest)
		AS u(position, version, time, occurred, batch, id, stream, type, encoding, tags, metadata, conditions, data, leaf_stream, leaf_name, leaf_about, leaf_rest)
	WHERE u.position IS NOT NULL;
	INSERT INTO {schema}.tags (tag, position)
	SELECT t.tag, u.position FROM unnest(event_tags, positions) AS u(tags, position), unnest(u.tags::text[]) AS t(tag)
	WHERE u.position IS NOT NULL AND u.tags IS NOT NULL;
END $$;

-- Appends of transactions that are under way: a row for each batch, the
-- arguments of append. At COMMIT the trigger appends it and takes the row away.
CREATE TABLE {schema}.inbox (
	number             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	clock              bigint,
	batch_events       int[] NOT NULL,
	batch_conditions   int[] NOT NULL,
	batch_time         bigint[] NOT NULL,
	streams            text[] NOT NULL,
	event_stream       int[] NOT NULL,
	event_stream_name  text[] NOT NULL,
	event_id           uuid[] NOT NULL,
	event_type         text[] NOT NULL,
	event_encoding     text[] NOT NULL,
	event_tags         text[] NOT NULL,
	event_metadata     text[] NOT NULL,
	event_conditions   text[] NOT NULL,
	event_occurred     bigint[] NOT NULL,
	event_data         bytea[] NOT NULL,
	leaf_stream        bytea[] NOT NULL,
	leaf_name          bytea[] NOT NULL,
	leaf_about         bytea[] NOT NULL,
	leaf_rest          bytea[] NOT NULL,
	condition_kind     int[] NOT NULL,
	condition_stream   int[] NOT NULL,
	condition_version  bigint[] NOT NULL,
	condition_after    bigint[] NOT NULL,
	key_condition      int[] NOT NULL,
	key_path           int[] NOT NULL,
	key_value          text[] NOT NULL,
	key_types          text[] NOT NULL,
	key_tags           text[] NOT NULL,
	key_streams        text[] NOT NULL,
	key_category       text[] NOT NULL,
	key_ids            text[] NOT NULL,
	near_condition     int[] NOT NULL,
	near_event         int[] NOT NULL
);

CREATE FUNCTION {schema}.place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	a := {schema}.append(false, NEW.clock, NEW.batch_events, NEW.batch_conditions, NEW.batch_time, NEW.streams, NEW.event_stream,
		NEW.event_stream_name, NEW.event_id, NEW.event_type, NEW.event_encoding, NEW.event_tags, NEW.event_metadata, NEW.event_conditions,
		NEW.event_occurred, NEW.event_data, NEW.leaf_stream, NEW.leaf_name, NEW.leaf_about, NEW.leaf_rest, NEW.condition_kind,
		NEW.condition_stream, NEW.condition_version, NEW.condition_after, NEW.key_condition, NEW.key_path, NEW.key_value, NEW.key_types,
		NEW.key_tags, NEW.key_streams, NEW.key_category, NEW.key_ids, NEW.near_condition, NEW.near_event);
	IF a.status[1] <> 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'AN001', MESSAGE = CASE a.status[1]
				WHEN 1 THEN 'an event ID of the transaction is known to the log already'
				WHEN 4 THEN 'the time given is before the head of the log'
				ELSE 'an append of the transaction conflicts with what others have appended since' END,
			DETAIL = json_build_object('log', '{name}', 'status', a.status[1], 'which', a.which[1], 'at', a.at[1], 'head', a.heads[1],
				'id', NEW.event_id[1], 'condition', NEW.event_conditions[1]::json -> a.which[1] - 1);
	END IF;
	DELETE FROM {schema}.inbox WHERE number = NEW.number;
	PERFORM pg_notify('{name}', a.positions[cardinality(a.positions)]::text);
	RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER place AFTER INSERT ON {schema}.inbox
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.place();
