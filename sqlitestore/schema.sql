-- One row: what log this is.
CREATE TABLE annals_log (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	version  INTEGER NOT NULL, -- of this schema
	log_id   BLOB NOT NULL,    -- 16 bytes
	revision INTEGER NOT NULL  -- the last one given in annals_state
) STRICT;

-- Names, each stored once: of streams (kind 1), categories (2), types (3) and tags (4).
CREATE TABLE annals_keys (
	key   INTEGER PRIMARY KEY,
	kind  INTEGER NOT NULL,
	name  TEXT NOT NULL,
	count INTEGER NOT NULL, -- how many records have it; the version of a stream
	last  INTEGER NOT NULL, -- the position of the last of them
	UNIQUE (kind, name)
) STRICT;

-- The log. Times are nanoseconds since 1970 UTC.
CREATE TABLE annals_records (
	position   INTEGER PRIMARY KEY,
	leaf       BLOB NOT NULL,    -- SHA-256 over all of the record, a leaf of the hash tree
	id         BLOB NOT NULL,    -- 16 bytes
	batch      INTEGER NOT NULL, -- the position of the first record of its batch
	stream     INTEGER,          -- a key, NULL for none
	version    INTEGER NOT NULL, -- within the stream, 0 for none
	type       INTEGER NOT NULL, -- a key
	time       INTEGER NOT NULL,
	occurred   INTEGER,          -- NULL: the same as time
	encoding   TEXT,             -- NULL: JSON
	tags       TEXT,             -- a JSON array of keys
	metadata   TEXT,             -- a JSON object
	conditions TEXT,             -- a JSON array, on the first record of a batch
	data       BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX annals_ids ON annals_records (id);

CREATE TRIGGER annals_no_update BEFORE UPDATE ON annals_records
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

CREATE TRIGGER annals_no_delete BEFORE DELETE ON annals_records
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Which records have a key: n counts 1, 2, 3 with no gap, so that a missing row shows.
CREATE TABLE annals_postings (
	key      INTEGER NOT NULL,
	position INTEGER NOT NULL,
	n        INTEGER NOT NULL,
	PRIMARY KEY (key, position)
) STRICT, WITHOUT ROWID;

-- The hash tree up to every 1,024th position, so that no tree head is far.
CREATE TABLE annals_tree (
	position INTEGER PRIMARY KEY,
	range    BLOB NOT NULL
) STRICT;

-- The small state beside the log: checkpoints, leases, snapshots.
CREATE TABLE annals_state (
	name     TEXT PRIMARY KEY,
	revision INTEGER NOT NULL,
	value    BLOB NOT NULL
) STRICT;

-- For people: the log with its names, as text.
CREATE VIEW annals_events AS
SELECT
	r.position,
	s.name AS stream,
	nullif(r.version, 0) AS version,
	t.name AS type,
	lower(substr(hex(r.id), 1, 8) || '-' || substr(hex(r.id), 9, 4) || '-' || substr(hex(r.id), 13, 4) || '-' ||
		substr(hex(r.id), 17, 4) || '-' || substr(hex(r.id), 21)) AS id,
	strftime('%Y-%m-%dT%H:%M:%S', r.time / 1000000000 - (r.time % 1000000000 < 0), 'unixepoch') ||
		printf('.%09dZ', (r.time % 1000000000 + 1000000000) % 1000000000) AS time,
	strftime('%Y-%m-%dT%H:%M:%S', r.occurred / 1000000000 - (r.occurred % 1000000000 < 0), 'unixepoch') ||
		printf('.%09dZ', (r.occurred % 1000000000 + 1000000000) % 1000000000) AS occurred,
	r.batch,
	CASE WHEN r.tags IS NOT NULL THEN (SELECT json_group_array(name) FROM
		(SELECT k.name FROM json_each(r.tags) e JOIN annals_keys k ON k.key = e.value ORDER BY e.key)) END AS tags,
	r.encoding,
	CASE WHEN r.encoding IS NULL THEN CAST(r.data AS TEXT) ELSE r.data END AS data,
	r.metadata,
	r.conditions
FROM annals_records r
JOIN annals_keys t ON t.key = r.type
LEFT JOIN annals_keys s ON s.key = r.stream;

-- For people: the streams, how long they are and where they end.
CREATE VIEW annals_streams AS
SELECT
	name AS stream,
	CASE instr(name, '-') WHEN 0 THEN name ELSE substr(name, 1, instr(name, '-') - 1) END AS category,
	count AS version,
	last AS position
FROM annals_keys WHERE kind = 1;
