package sqlite

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider"
)

// A payload of which a byte has changed in the file is never given out, in the row or in chunks, from the log or from the payload store;
// what was written before there were checksums is.
func TestDamagedPayloadsAreNotGivenOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	small, large := bytes.Repeat([]byte("s"), 1000), bytes.Repeat([]byte("l"), 600<<10)
	appendEvents(t, db, event("small", small), event("large", large), event("sound", []byte("sound")))
	for key, payload := range map[string][]byte{"small": small, "large": large, "sound": []byte("sound")} {
		if err := db.Payloads().Put(t.Context(), key, payload); err != nil {
			t.Fatal(err)
		}
	}
	damage := func(statement string) {
		t.Helper()
		if err := db.writer.do(t.Context(), func(x *tx) error { return x.exec(statement) }); err != nil {
			t.Fatal(err)
		}
	}
	damage("UPDATE events SET payload = CAST('S' || substr(payload, 2) AS BLOB) WHERE blob = 0 AND size = 1000")
	damage("UPDATE payloads SET bytes = CAST('S' || substr(bytes, 2) AS BLOB) WHERE key = 'small'")
	damage("UPDATE chunks SET bytes = CAST('L' || substr(bytes, 2) AS BLOB) WHERE id & 65535 = 2") // the last piece of each
	report, err := Check(t.Context(), dir)
	if err != nil || len(report.Faults) != 4 || strings.Count(strings.Join(report.Faults, "\n"), "is not what was stored") != 4 {
		t.Errorf("check finds %q, %v", report.Faults, err)
	}
	db = reopen(t, db, dir) // nothing is in memory
	for at, want := range map[postrider.Position]postrider.Code{"1": postrider.CodeMalformed, "2": postrider.CodeMalformed, "3": ""} {
		if _, err := db.Events().Read(t.Context(), at); postrider.CodeOf(err) != want {
			t.Errorf("event %s: %v", at, err)
		}
	}
	for key, want := range map[string]postrider.Code{"small": postrider.CodeMalformed, "large": postrider.CodeMalformed, "sound": ""} {
		if _, err := db.Payloads().Get(t.Context(), key); postrider.CodeOf(err) != want {
			t.Errorf("payload %s: %v", key, err)
		}
	}
	reader, err := db.Events().Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch, err := reader.Next(t.Context())
	if err != nil || len(batch.Events) != 3 || batch.Events[0].Payload.InHand() || batch.Events[1].Payload.InHand() || !batch.Events[2].Payload.InHand() {
		t.Errorf("the reader: %+v, %v", batch, err)
	}
	damage("UPDATE events SET crc = NULL")
	damage("UPDATE payloads SET crc = NULL")
	if got, err := db.Events().Read(t.Context(), "2"); err != nil || len(got.Payload.Bytes) != len(large) {
		t.Errorf("an event without a checksum: %v", err)
	}
	if got, err := db.Payloads().Get(t.Context(), "small"); err != nil || len(got) != len(small) {
		t.Errorf("a payload without a checksum: %v", err)
	}
	if report, err := Check(t.Context(), dir); err != nil || !report.OK() {
		t.Errorf("check finds %q, %v", report.Faults, err)
	}
}

// An item of the queue that is damaged is left where it is, and holds up no other.
func TestDamagedItemsAreLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, dir)
	for n := range 3 {
		commit, err := db.Queue().Put(t.Context(), pack(n))
		if err == nil {
			err = commit.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{
		"UPDATE queue SET body = CAST(substr(body, 1, length(body) - 1) || 'x' AS BLOB) WHERE id = 1",
		"UPDATE queue SET body = x'00', crc = NULL WHERE id = 2", // of before there were checksums
	} {
		if err := db.writer.do(t.Context(), func(x *tx) error { return x.exec(statement) }); err != nil {
			t.Fatal(err)
		}
	}
	db = reopen(t, db, dir) // nothing is in memory
	leases, err := db.Queue().Take(t.Context(), postrider.TakeRequest{Credit: 10})
	if err != nil || len(leases) != 1 || leases[0].Pack.Deliveries[0].Event.Position != "3" {
		t.Fatalf("%d items, %v", len(leases), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if leases, err := db.Queue().Take(ctx, postrider.TakeRequest{Credit: 10}); err == nil {
		t.Errorf("%d items more", len(leases))
	}
	if n := rowsIn(t, db, "queue"); n != 3 {
		t.Errorf("%d rows are left", n)
	}
}
