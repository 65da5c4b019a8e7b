package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
)

// progress is how far the group has come. All before the position after is done, of all tenants but those that are behind it: theirs are
// done before positions of their own.
//
// In the file it is two values of meta: the position before which everything is done, as it was before tenants took turns, and, if some
// are behind, the rest.
type progress struct {
	after  int64
	behind map[string]int64
}

const sumBytes = 8

// done reports whether an event is.
func (p *progress) done(tenant string, at int64) bool {
	own, behind := p.behind[tenant]
	return at < p.after && (!behind || at < own)
}

// least is the position before which everything is done.
func (p *progress) least() int64 {
	least := p.after
	for _, at := range p.behind {
		least = min(least, at)
	}
	return least
}

// progress is the position of what is done so far.
func (u *undone) progress() progress {
	p := progress{after: u.reached}
	for _, b := range u.tenants {
		if least := b.least(); least < u.reached {
			if p.behind == nil {
				p.behind = make(map[string]int64)
			}
			p.behind[b.tenant] = least
		}
	}
	return p
}

// encode makes the second value, which begins with a checksum: what is damaged must not skip an event.
func (p *progress) encode() []byte {
	b := binary.AppendUvarint(make([]byte, sumBytes), uint64(p.after))
	for tenant, at := range p.behind {
		b = binary.AppendUvarint(b, uint64(len(tenant)))
		b = append(b, tenant...)
		b = binary.AppendUvarint(b, uint64(at))
	}
	binary.LittleEndian.PutUint64(b, uint64(checksum(b[sumBytes:])))
	return b
}

// decode reads the second value. What can't be read changes nothing: more is read again then.
func (p *progress) decode(b []byte) {
	if len(b) < sumBytes || binary.LittleEndian.Uint64(b) != uint64(checksum(b[sumBytes:])) {
		return
	}
	b = b[sumBytes:]
	after, n := binary.Uvarint(b)
	behind := make(map[string]int64)
	for n > 0 && len(b) > n {
		b = b[n:]
		size, m := binary.Uvarint(b)
		if m <= 0 || size > uint64(len(b)-m) {
			return
		}
		tenant := string(b[m : m+int(size)])
		b = b[m+int(size):]
		var at uint64
		at, n = binary.Uvarint(b)
		behind[tenant] = int64(at)
	}
	if n > 0 && int64(after) >= p.after {
		p.after, p.behind = int64(after), behind
	}
}

// loadProgress reads the group's position.
func loadProgress(ctx context.Context, db *sql.DB) (p progress, err error) {
	var behind []byte
	err = db.QueryRowContext(ctx, "SELECT value, (SELECT value FROM meta WHERE name = 'events_behind') FROM meta WHERE name = 'events_committed'").Scan(&p.after, &behind)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fault("read the position", err)
	}
	p.after = max(p.after, 1)
	var whole progress
	if whole.decode(behind); whole.least() == p.after { // else a version that knows nothing of it has gone on since
		p = whole
	}
	return p, nil
}

// save writes the group's position.
func (p *progress) save(t *tx, before *progress) error {
	const set = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	if err := t.exec(set, "events_committed", p.least()); err != nil {
		return err
	}
	switch {
	case len(p.behind) > 0:
		return t.exec(set, "events_behind", p.encode())
	case len(before.behind) > 0:
		return t.exec("DELETE FROM meta WHERE name = 'events_behind'")
	}
	return nil
}
