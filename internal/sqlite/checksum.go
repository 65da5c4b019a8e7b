package sqlite

import (
	"database/sql"
	"hash/crc32"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
)

// SQLite notices a damaged page by its structure only, and most bytes of a payload have none: each has a checksum of its own, so that
// what a disk has changed is never sent.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(payload []byte) int64 { return int64(crc32.Checksum(payload, castagnoli)) }

// intact reports whether a payload is what was stored. One that has no checksum is taken for it.
func intact(payload []byte, crc sql.NullInt64) bool {
	return !crc.Valid || crc.Int64 == checksum(payload)
}

// damagedPayload tells of a payload, or of what holds one, whose checksum differs.
func (db *DB) damagedPayload(what string, which any) error {
	db.damaged.Inc()
	return postrider.Errorf(postrider.CodeMalformed, "the payload of %s %v is damaged: its checksum is not the one that it was stored with", what, which)
}

func newDamaged(r prometheus.Registerer) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_sqlite_damaged_total",
		Help: "Payloads read whose checksum was not the one that they were stored with."})
	if r != nil {
		r.MustRegister(c)
	}
	return c
}
