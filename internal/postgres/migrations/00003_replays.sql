-- +goose Up
-- What is being replayed; a row counts until its time, though its process is gone.

CREATE TABLE replays (
	delivery   uuid PRIMARY KEY,
	generation integer NOT NULL, -- the one that is replayed
	until      timestamptz NOT NULL
);
CREATE INDEX replays_by_until ON replays (until);
