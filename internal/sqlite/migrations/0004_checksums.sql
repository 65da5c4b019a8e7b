-- CRC32C of the payload, whether in the row or in chunks; NULL: it was written before there was one.
ALTER TABLE events ADD COLUMN crc INTEGER;
ALTER TABLE payloads ADD COLUMN crc INTEGER;

ALTER TABLE queue ADD COLUMN crc INTEGER; -- of the body
