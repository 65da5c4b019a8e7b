-- Deliveries by their target: an index that is written late (bytarget.go), and what is not in it yet.

CREATE TABLE target_deliveries (
	target_id INTEGER NOT NULL,
	id        BLOB NOT NULL,
	PRIMARY KEY (target_id, id)
) WITHOUT ROWID;
INSERT INTO target_deliveries SELECT target_id, id FROM deliveries INDEXED BY deliveries_by_target ORDER BY target_id, id;
DROP INDEX deliveries_by_target;

CREATE TABLE target_tail (
	seq   INTEGER PRIMARY KEY,
	pairs BLOB NOT NULL -- of target and id, 24 bytes each
);
