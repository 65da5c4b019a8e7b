-- Events, payload chunks, queue, payload store.

CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value
) WITHOUT ROWID;

-- Pieces of payloads over 64 KiB: id is blob << 16 | n, so that a blob's pieces lie together.
CREATE TABLE chunks (
	id    INTEGER PRIMARY KEY,
	bytes BLOB NOT NULL
);

CREATE TABLE events (
	position     INTEGER PRIMARY KEY,
	id_hash      INTEGER NOT NULL, -- of tenant and id
	tenant       TEXT NOT NULL,
	id           TEXT NOT NULL,
	type         TEXT NOT NULL,
	content_type TEXT NOT NULL,
	accepted_at  INTEGER NOT NULL, -- milliseconds
	trace        TEXT NOT NULL,
	size         INTEGER NOT NULL,
	blob         INTEGER NOT NULL, -- of chunks; 0: in payload
	payload      BLOB
);
CREATE INDEX events_by_id ON events (id_hash);

CREATE TABLE queue (
	id     INTEGER PRIMARY KEY,
	lane   INTEGER NOT NULL,
	tenant TEXT NOT NULL,
	due    INTEGER NOT NULL, -- milliseconds
	weight INTEGER NOT NULL, -- deliveries
	body   BLOB NOT NULL
);

CREATE TABLE payloads (
	key    TEXT PRIMARY KEY,
	put_at INTEGER NOT NULL, -- milliseconds
	size   INTEGER NOT NULL,
	blob   INTEGER NOT NULL, -- of chunks; 0: in bytes
	bytes  BLOB
) WITHOUT ROWID;
CREATE INDEX payloads_by_age ON payloads (put_at);
