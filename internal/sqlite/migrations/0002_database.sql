-- Entities, their change feed, keys, holds, notices; deliveries, attempts, events as the API shows them.

CREATE TABLE targets (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	id           INTEGER NOT NULL UNIQUE,
	tenant       TEXT NOT NULL,
	version      INTEGER NOT NULL,
	created_at   INTEGER NOT NULL, -- milliseconds
	updated_at   INTEGER NOT NULL,
	name         TEXT NOT NULL,
	url          TEXT NOT NULL,
	headers      BLOB,             -- sealed
	retry_base   INTEGER NOT NULL, -- nanoseconds
	retry_max    INTEGER NOT NULL,
	retry_window INTEGER NOT NULL,
	in_flight    INTEGER NOT NULL,
	private      INTEGER NOT NULL,
	state        TEXT NOT NULL,
	state_reason TEXT NOT NULL,
	secrets      TEXT NOT NULL     -- JSON; each sealed
);
CREATE INDEX targets_by_tenant ON targets (tenant, seq);

CREATE TABLE filters (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         INTEGER NOT NULL UNIQUE,
	tenant     TEXT NOT NULL,
	version    INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	events     TEXT NOT NULL -- JSON
);
CREATE INDEX filters_by_tenant ON filters (tenant, seq);

CREATE TABLE subscriptions (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         INTEGER NOT NULL UNIQUE,
	tenant     TEXT NOT NULL,
	version    INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	target_id  INTEGER NOT NULL,
	filter_id  INTEGER NOT NULL,
	active     INTEGER NOT NULL
);
CREATE INDEX subscriptions_by_tenant ON subscriptions (tenant, seq);
CREATE INDEX subscriptions_by_target ON subscriptions (target_id);
CREATE INDEX subscriptions_by_filter ON subscriptions (filter_id);

CREATE TABLE changes (
	version INTEGER PRIMARY KEY,
	kind    INTEGER NOT NULL,
	id      INTEGER NOT NULL,
	tenant  TEXT NOT NULL,
	by      TEXT NOT NULL,
	at      INTEGER NOT NULL
);

CREATE TABLE keys (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         INTEGER NOT NULL UNIQUE,
	tenant     TEXT NOT NULL,
	name       TEXT NOT NULL,
	hash       BLOB NOT NULL UNIQUE,
	created_at INTEGER NOT NULL
);
CREATE INDEX keys_by_tenant ON keys (tenant, seq);

CREATE TABLE holds (
	process   TEXT NOT NULL,
	target_id INTEGER NOT NULL,
	reason    TEXT NOT NULL,
	since     INTEGER NOT NULL,
	until     INTEGER NOT NULL,
	PRIMARY KEY (process, target_id)
) WITHOUT ROWID;
CREATE INDEX holds_by_target ON holds (target_id);

CREATE TABLE notices (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	event TEXT NOT NULL -- JSON
);

-- What fan-outs tell of an event.
CREATE TABLE event_heads (
	seq          INTEGER PRIMARY KEY,
	id_hash      INTEGER NOT NULL,
	tenant       TEXT NOT NULL,
	id           TEXT NOT NULL,
	type         TEXT NOT NULL,
	content_type TEXT NOT NULL,
	accepted_at  INTEGER NOT NULL,
	position     TEXT NOT NULL,
	size         INTEGER NOT NULL
);
CREATE INDEX event_heads_by_id ON event_heads (id_hash);

CREATE TABLE deliveries (
	tenant       TEXT NOT NULL,
	id           BLOB NOT NULL,
	event_id     TEXT NOT NULL,
	type         TEXT NOT NULL,
	content_type TEXT NOT NULL,
	position     TEXT NOT NULL,
	size         INTEGER NOT NULL,
	target_id    INTEGER NOT NULL,
	generation   INTEGER NOT NULL,
	attempts     INTEGER NOT NULL,
	state        TEXT NOT NULL,
	reason       TEXT NOT NULL,
	next_at      INTEGER NOT NULL, -- milliseconds; 0: none
	updated_at   INTEGER NOT NULL, -- microseconds
	attempt      BLOB,             -- the one attempt of a delivery that succeeded at once
	PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_target ON deliveries (target_id, id);
CREATE INDEX deliveries_waiting ON deliveries (tenant, state, id) WHERE state <> 'delivered';

CREATE TABLE attempts (
	delivery   BLOB NOT NULL,
	number     INTEGER NOT NULL,
	started_at INTEGER NOT NULL, -- microseconds
	body       BLOB NOT NULL,
	PRIMARY KEY (delivery, number, started_at)
) WITHOUT ROWID;

CREATE TABLE archived (
	partition TEXT PRIMARY KEY,
	position  TEXT NOT NULL,
	through   INTEGER NOT NULL -- microseconds
) WITHOUT ROWID;

CREATE TABLE outcome_log (
	position INTEGER PRIMARY KEY AUTOINCREMENT,
	at       INTEGER NOT NULL, -- microseconds
	body     BLOB NOT NULL
);
