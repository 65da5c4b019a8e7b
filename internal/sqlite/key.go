package sqlite

import (
	"context"
	"database/sql"

	"github.com/postrider/postrider"
)

const keyColumns = "id, tenant, name, hash, created_at"

func scanKey(row scanner) (*postrider.Key, error) {
	k := &postrider.Key{}
	var created int64
	var hash []byte
	if err := row.Scan(&k.ID, &k.Tenant, &k.Name, &hash, &created); err != nil {
		return nil, err
	}
	copy(k.Hash[:], hash)
	k.CreatedAt = millis(created)
	return k, nil
}

// CreateKey stores a key; see postrider.KeyStore.
func (d *database) CreateKey(ctx context.Context, k *postrider.Key) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		k.ID, k.CreatedAt = newID(), d.now()
		return t.exec("INSERT INTO keys ("+keyColumns+") VALUES (?, ?, ?, ?, ?)", k.ID, k.Tenant, k.Name, k.Hash[:], k.CreatedAt.UnixMilli())
	})
}

// Keys lists a tenant's keys; see postrider.KeyStore.
func (d *database) Keys(ctx context.Context, tenant string) ([]*postrider.Key, error) {
	rows, err := d.db.read.QueryContext(ctx, "SELECT "+keyColumns+" FROM keys WHERE tenant = ? ORDER BY seq LIMIT 1000", tenant)
	if err != nil {
		return nil, fault("list keys", err)
	}
	var keys []*postrider.Key
	err = each(rows, func(rows *sql.Rows) error {
		k, err := scanKey(rows)
		keys = append(keys, k)
		return err
	})
	return keys, fault("list keys", err)
}

// KeyByHash finds a key; see postrider.KeyStore.
func (d *database) KeyByHash(ctx context.Context, hash [32]byte) (*postrider.Key, error) {
	return one(d.db.read.QueryRowContext(ctx, "SELECT "+keyColumns+" FROM keys WHERE hash = ?", hash[:]), "key", scanKey)
}

// DeleteKey removes one; see postrider.KeyStore.
func (d *database) DeleteKey(ctx context.Context, tenant string, id int64) error {
	return d.db.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount("DELETE FROM keys WHERE id = ? AND tenant = ?", id, tenant)
		if err == nil && n == 0 {
			return postrider.Errorf(postrider.CodeNotFound, "there is no such key")
		}
		return err
	})
}
