package sqlite

import (
	"database/sql"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/wire"
)

// positions checks that the log has no event beyond what it counts, and that the change feed is dense.
func (c *checker) positions() error {
	err := c.list("the reader's position %v is past the log's end, which is %v", `SELECT m.value, (SELECT coalesce(max(position), 0) FROM events)
		FROM meta m WHERE m.name = 'events_committed' AND EXISTS (SELECT 1 FROM events) AND m.value > 1 + (SELECT max(position) FROM events)`, 2)
	if err != nil {
		return err
	}
	return c.list("the change feed has a hole: %v changes from version %v to %v",
		"SELECT count(*), min(version), max(version) FROM changes HAVING count(*) > 0 AND count(*) <> max(version) - min(version) + 1", 3)
}

// payloads checks that the bytes of events and of the payload store are there in their size.
func (c *checker) payloads() error {
	for _, q := range []struct{ format, query string }{
		{"event %v has %v bytes of %v", "SELECT position, length(payload), size FROM events WHERE blob = 0 AND size <> coalesce(length(payload), 0)"},
		{"event %v has %v bytes of %v in pieces", "SELECT position, there, size FROM (SELECT e.position, e.size, " + pieces("e") + " AS there FROM events e WHERE e.blob <> 0) WHERE there <> size"},
		{"stored payload %v has %v bytes of %v", "SELECT key, length(bytes), size FROM payloads WHERE blob = 0 AND size <> coalesce(length(bytes), 0)"},
		{"stored payload %v has %v bytes of %v in pieces", "SELECT key, there, size FROM (SELECT e.key, e.size, " + pieces("e") + " AS there FROM payloads e WHERE e.blob <> 0) WHERE there <> size"},
	} {
		if err := c.list(q.format, q.query, 3); err != nil {
			return err
		}
	}
	return nil
}

// checksums checks that payloads are, byte for byte, what was stored; those of before there were checksums can't be.
func (c *checker) checksums() error {
	if err := c.sums("event", int64(0), "SELECT position, blob, crc, payload FROM events WHERE crc IS NOT NULL AND position > ? ORDER BY position LIMIT ?"); err != nil {
		return err
	}
	return c.sums("stored payload", "", "SELECT key, blob, crc, bytes FROM payloads WHERE crc IS NOT NULL AND key > ? ORDER BY key LIMIT ?")
}

// sums reads some rows, then the chunks that they refer to, since one result is read at a time.
func (c *checker) sums(what string, last any, query string) error {
	type chunked struct{ row, blob, crc any }
	for read := queuedStep; read == queuedStep; {
		read = 0
		var later []chunked
		err := c.each(query, func(rows *sql.Rows) error {
			var blob, crc int64
			var payload []byte
			if err := rows.Scan(&last, &blob, &crc, &payload); err != nil {
				return err
			}
			read++
			if blob != 0 {
				later = append(later, chunked{last, blob, crc})
			} else if checksum(payload) != crc {
				c.damaged(what, last)
			}
			return nil
		}, last, queuedStep)
		if err != nil {
			return err
		}
		for _, l := range later {
			sum := uint32(0)
			err := c.each("SELECT bytes FROM chunks WHERE id >= ? << ? AND id < (? + 1) << ? ORDER BY id", func(rows *sql.Rows) error {
				var piece sql.RawBytes
				err := rows.Scan(&piece)
				sum = crc32.Update(sum, castagnoli, piece)
				return err
			}, l.blob, chunkShift, l.blob, chunkShift)
			if err != nil {
				return err
			}
			if int64(sum) != l.crc {
				c.damaged(what, l.row)
			}
		}
	}
	return nil
}

func (c *checker) damaged(what string, row any) {
	c.report.faultf("%s %v is damaged: its payload is not what was stored", what, row)
}

// pieces is a query for how many bytes of a row's blob are there, in pieces without a hole; -1 with one.
func pieces(row string) string {
	return fmt.Sprintf(`(SELECT CASE WHEN count(*) = coalesce(max(id) - (%[1]s.blob << %[2]d) + 1, 0) THEN coalesce(sum(length(bytes)), 0) ELSE -1 END
		FROM chunks WHERE id >= %[1]s.blob << %[2]d AND id < (%[1]s.blob + 1) << %[2]d)`, row, chunkShift)
}

// entities checks that targets, filters and subscriptions can be read and that subscriptions bind what is there.
func (c *checker) entities() error {
	for _, q := range []struct {
		what, query string
		scan        func(*sql.Rows) error
	}{
		{"target", "SELECT " + targetColumns + " FROM targets", func(rows *sql.Rows) error { _, err := scanTarget(rows); return err }},
		{"filter", "SELECT " + filterColumns + " FROM filters", func(rows *sql.Rows) error { _, err := scanFilter(rows); return err }},
		{"subscription", "SELECT " + subscriptionColumns + " FROM subscriptions", func(rows *sql.Rows) error { _, err := scanSubscription(rows); return err }},
	} {
		err := c.each(q.query, func(rows *sql.Rows) error {
			if err := q.scan(rows); err != nil {
				c.report.faultf("a %s can't be read: %v", q.what, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.list("subscription %v binds target %v and filter %v, of which one is not there", `SELECT s.id, s.target_id, s.filter_id FROM subscriptions s
		WHERE NOT EXISTS (SELECT 1 FROM targets t WHERE t.id = s.target_id AND t.tenant = s.tenant)
		OR NOT EXISTS (SELECT 1 FROM filters f WHERE f.id = s.filter_id AND f.tenant = s.tenant)`, 3)
}

// deliveries checks that deliveries, their attempts and the outcome log can be read.
func (c *checker) deliveries() error {
	err := c.each("SELECT id, state, attempt FROM deliveries", func(rows *sql.Rows) error {
		var id, attempt []byte
		var state string
		if err := rows.Scan(&id, &state, &attempt); err != nil {
			return err
		}
		if _, err := postrider.ParseState(state); err != nil || len(id) != len(postrider.DeliveryID{}) {
			c.report.faultf("delivery %x can't be read: state %q", id, state)
		}
		if attempt != nil {
			c.decoded("the attempt of delivery", fmt.Sprintf("%x", id), attempt, func(b []byte) error { _, err := decodeAttempt(b); return err })
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = c.each("SELECT delivery, body FROM attempts", func(rows *sql.Rows) error {
		var id, body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		c.decoded("an attempt of delivery", fmt.Sprintf("%x", id), body, func(b []byte) error { _, err := decodeAttempt(b); return err })
		return nil
	})
	if err != nil {
		return err
	}
	return c.each("SELECT position, body FROM outcome_log", func(rows *sql.Rows) error {
		var position int64
		var body []byte
		if err := rows.Scan(&position, &body); err != nil {
			return err
		}
		c.decoded("outcomes", position, body, decodesOutcomes)
		return nil
	})
}

// byTarget checks that deliveries are found by their targets: by the index, or in the tail.
func (c *checker) byTarget() error {
	tail := map[targeted]struct{}{}
	err := c.each("SELECT seq, pairs FROM target_tail", func(rows *sql.Rows) error {
		var seq int64
		var pairs []byte
		err := rows.Scan(&seq, &pairs)
		if len(pairs)%pairSize != 0 {
			c.report.faultf("row %d of the deliveries by target has %d bytes, which is no multiple of %d", seq, len(pairs), pairSize)
		}
		for _, p := range decodeTargeted(pairs) {
			tail[p] = struct{}{}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.each(`SELECT target_id, id FROM deliveries d
		WHERE NOT EXISTS (SELECT 1 FROM target_deliveries i WHERE i.target_id = d.target_id AND i.id = d.id)`, func(rows *sql.Rows) error {
		var x targeted
		var id []byte
		err := rows.Scan(&x.target, &id)
		copy(x.id[:], id)
		if _, there := tail[x]; !there {
			c.report.faultf("delivery %x is not found by its target %d", id, x.target)
		}
		return err
	})
}

func decodesOutcomes(b []byte) error { _, err := wire.DecodeOutcomes(b); return err }

func (c *checker) decoded(what string, id any, body []byte, decode func([]byte) error) {
	if err := decode(body); err != nil {
		c.report.faultf("%s %v can't be read: %v", what, id, err)
	}
}

// queuedStep is how many items are read before what they refer to is looked up.
const queuedStep = 1000

// queued checks that what waits can be read, and that the payloads that it refers to are there.
func (c *checker) queued() error {
	for last, read := int64(0), queuedStep; read == queuedStep; {
		read = 0
		packs := map[int64]*postrider.Pack{}
		err := c.each("SELECT id, lane, body, crc FROM queue WHERE id > ? ORDER BY id LIMIT ?", func(rows *sql.Rows) error {
			var lane postrider.Lane
			var body []byte
			var crc sql.NullInt64
			if err := rows.Scan(&last, &lane, &body, &crc); err != nil {
				return err
			}
			if read++; !intact(body, crc) {
				c.damaged("queue item", last)
				return nil
			}
			c.decoded("queue item", last, body, func(b []byte) (err error) {
				if lane == postrider.LaneOutcomes {
					return decodesOutcomes(b)
				}
				packs[last], err = wire.DecodePack(b)
				return err
			})
			if int(lane) >= int(postrider.Lanes) {
				c.report.faultf("queue item %d is in lane %d, which there is not", last, lane)
			}
			return nil
		}, last, queuedStep)
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(packs)) {
			if err := c.referred(id, packs[id]); err != nil {
				return err
			}
		}
	}
	return nil
}

// referred checks the payloads of one pack. Those that another engine has are not looked for.
func (c *checker) referred(item int64, pack *postrider.Pack) error {
	if pack == nil {
		return nil
	}
	var seen *postrider.Event
	for i := range pack.Deliveries {
		e := pack.Deliveries[i].Event
		if e == seen || e.Payload.Inline() {
			continue
		}
		seen = e
		there, err := c.has("SELECT EXISTS (SELECT 1 FROM payloads WHERE key = ?)", e.Payload.Key)
		n, none := parsePosition(e.Position)
		if err == nil && !there && none == nil {
			there, err = c.has("SELECT EXISTS (SELECT 1 FROM events WHERE position = ?)", n)
		}
		if err != nil {
			return fault("check", err)
		}
		if !there && (e.Payload.Log || c.report.Counts["payloads"] > 0) {
			c.report.faultf("queue item %d refers to the payload of event %s, which is neither stored nor in the log", item, e.ID)
		}
	}
	return nil
}

func (c *checker) has(query string, arg any) (there bool, err error) {
	err = c.tx.QueryRowContext(c.ctx, query, arg).Scan(&there)
	return there, err
}
