-- +goose Up
-- Entities, their change feed, keys, holds, notices.

CREATE TABLE meta (
	name  text PRIMARY KEY,
	value bytea NOT NULL
);

-- The version of the last change. A change locks this row first, so that changes are one after the other.
CREATE TABLE feed (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version bigint NOT NULL
);
INSERT INTO feed (version) VALUES (0);

CREATE TABLE changes (
	version bigint PRIMARY KEY,
	kind    smallint NOT NULL, -- 1 target, 2 filter, 3 subscription
	id      bigint NOT NULL,
	tenant  text NOT NULL,
	by      text NOT NULL,     -- the process that made it
	at      timestamptz NOT NULL
);

CREATE TABLE targets (
	seq          bigint GENERATED ALWAYS AS IDENTITY,
	id           bigint PRIMARY KEY,
	tenant       text NOT NULL,
	version      bigint NOT NULL,
	created_at   timestamptz NOT NULL,
	updated_at   timestamptz NOT NULL,
	name         text NOT NULL,
	url          text NOT NULL,
	headers      bytea,           -- sealed
	retry_base   bigint NOT NULL, -- nanoseconds
	retry_max    bigint NOT NULL,
	retry_window bigint NOT NULL,
	in_flight    integer NOT NULL,
	private      boolean NOT NULL,
	state        text NOT NULL,
	state_reason text NOT NULL,
	secrets      text NOT NULL    -- JSON; each sealed
);
CREATE UNIQUE INDEX targets_by_tenant ON targets (tenant, seq);

CREATE TABLE filters (
	seq        bigint GENERATED ALWAYS AS IDENTITY,
	id         bigint PRIMARY KEY,
	tenant     text NOT NULL,
	version    bigint NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	events     text[] NOT NULL
);
CREATE UNIQUE INDEX filters_by_tenant ON filters (tenant, seq);

CREATE TABLE subscriptions (
	seq        bigint GENERATED ALWAYS AS IDENTITY,
	id         bigint PRIMARY KEY,
	tenant     text NOT NULL,
	version    bigint NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	target_id  bigint NOT NULL,
	filter_id  bigint NOT NULL,
	active     boolean NOT NULL
);
CREATE UNIQUE INDEX subscriptions_by_tenant ON subscriptions (tenant, seq);
CREATE INDEX subscriptions_by_target ON subscriptions (target_id);
CREATE INDEX subscriptions_by_filter ON subscriptions (filter_id);

CREATE TABLE keys (
	seq        bigint GENERATED ALWAYS AS IDENTITY,
	id         bigint PRIMARY KEY,
	tenant     text NOT NULL,
	name       text NOT NULL,
	hash       bytea NOT NULL UNIQUE, -- SHA-256
	created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX keys_by_tenant ON keys (tenant, seq);

-- What dispatchers hold back at present; a row counts until its time, though its process is gone.
CREATE TABLE holds (
	target_id bigint NOT NULL,
	process   text NOT NULL,
	reason    text NOT NULL,
	since     timestamptz NOT NULL,
	until     timestamptz NOT NULL,
	PRIMARY KEY (target_id, process)
);
CREATE INDEX holds_by_process ON holds (process);

-- Postrider's own events that are to be published.
CREATE TABLE notices (
	id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event text NOT NULL -- JSON
);
