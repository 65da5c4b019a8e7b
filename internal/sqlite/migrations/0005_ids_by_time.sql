-- id_hash, of events and event_heads, is made in another way from here on (idkey.go): rows that are there keep what they have, and are
-- found by either. A version before would not find the others.
SELECT 1;
