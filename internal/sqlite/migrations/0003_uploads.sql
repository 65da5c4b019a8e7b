-- Payloads in chunks that no row refers to yet: their chunks are removed when the file is opened.
CREATE TABLE uploads (
	blob INTEGER PRIMARY KEY
);

DELETE FROM chunks WHERE id >> 16 NOT IN (SELECT blob FROM events UNION SELECT blob FROM payloads);
