-- +goose Up
-- What outcomes tell, partitioned by the day of acceptance (UTC). A delivery's id begins with that time, in milliseconds.

CREATE TABLE deliveries (
	tenant       text NOT NULL,
	id           uuid NOT NULL,
	target_id    bigint NOT NULL,
	size         bigint NOT NULL,      -- of the event's payload
	updated_at   timestamptz NOT NULL,
	next_at      timestamptz,          -- when it is due again; null: final, or not known
	generation   integer NOT NULL,     -- replays so far
	attempts     integer NOT NULL,     -- made so far
	state        text NOT NULL,
	reason       text NOT NULL,
	event_id     text NOT NULL,
	type         text NOT NULL,
	content_type text NOT NULL,
	position     text NOT NULL,        -- of the event in its log
	-- The attempt that came with the row, if it was one; the others are in the table attempts.
	number       integer,
	started_at   timestamptz,
	duration     bigint,               -- microseconds
	status       integer,              -- 0: no response
	class        text,
	error        text,
	head         bytea,                -- of the response's body
	PRIMARY KEY (tenant, id)
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_by_target ON deliveries (target_id, id);
CREATE INDEX deliveries_by_type ON deliveries (tenant, type, id);
CREATE INDEX deliveries_by_state ON deliveries (tenant, state, id) WHERE state <> 'delivered';
CREATE INDEX deliveries_by_target_state ON deliveries (target_id, state, id) WHERE state <> 'delivered';
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;

CREATE TABLE attempts (
	delivery   uuid NOT NULL,
	number     integer NOT NULL,
	started_at timestamptz NOT NULL,
	duration   bigint NOT NULL,
	status     integer NOT NULL,
	class      text NOT NULL,
	error      text NOT NULL,
	head       bytea,
	PRIMARY KEY (delivery, number, started_at)
) PARTITION BY RANGE (delivery);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

CREATE TABLE events (
	key          bigint NOT NULL,      -- a hash of tenant and id
	accepted_at  timestamptz NOT NULL, -- as in the ids of its deliveries
	position     text NOT NULL,
	size         bigint NOT NULL,
	fanned       boolean NOT NULL,     -- its fan-out was recorded; else a delivery of it was, before
	tenant       text NOT NULL,
	id           text NOT NULL,
	type         text NOT NULL,
	content_type text NOT NULL,
	PRIMARY KEY (key, accepted_at, position)
) PARTITION BY RANGE (accepted_at);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- How far each partition of the outcome log is stored.
CREATE TABLE archived (
	partition text PRIMARY KEY,
	position  text NOT NULL,
	through   timestamptz -- null: not known
);
