package postgres

import (
	"bytes"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/postrider/postrider"
)

const keyColumns = "id, tenant, name, hash, created_at"

func scanKey(row pgx.Row) (*postrider.Key, error) {
	k := &postrider.Key{}
	var hash []byte
	if err := row.Scan(&k.ID, &k.Tenant, &k.Name, &hash, &k.CreatedAt); err != nil {
		return nil, err
	}
	copy(k.Hash[:], hash)
	k.CreatedAt = k.CreatedAt.UTC()
	return k, nil
}

// CreateKey stores a key; see postrider.KeyStore.
func (d *Database) CreateKey(ctx context.Context, k *postrider.Key) error {
	if err := noNUL("name", k.Name); err != nil {
		return err
	}
	defer d.metrics.time("key")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	k.ID, k.CreatedAt = newID(), d.now()
	_, err := d.pool.Exec(ctx, "INSERT INTO keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5)", k.ID, k.Tenant, k.Name, k.Hash[:], k.CreatedAt)
	return fault(ctx, "create a key", err)
}

// Keys lists a tenant's keys; see postrider.KeyStore.
func (d *Database) Keys(ctx context.Context, tenant string) ([]*postrider.Key, error) {
	defer d.metrics.time("key")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var keys []*postrider.Key
	rows, err := d.pool.Query(ctx, "SELECT "+keyColumns+" FROM keys WHERE tenant = $1 ORDER BY seq LIMIT 1000", tenant)
	err = each(rows, err, func(row pgx.Row) error {
		k, err := scanKey(row)
		keys = append(keys, k)
		return err
	})
	return keys, fault(ctx, "list keys", err)
}

// KeyByHash finds a key; see postrider.KeyStore.
func (d *Database) KeyByHash(ctx context.Context, hash [32]byte) (*postrider.Key, error) {
	defer d.metrics.time("key")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	k, err := one(d.pool.QueryRow(ctx, "SELECT "+keyColumns+" FROM keys WHERE hash = $1", hash[:]), "key", scanKey)
	return k, fault(ctx, "find a key", err)
}

// DeleteKey removes one; see postrider.KeyStore.
func (d *Database) DeleteKey(ctx context.Context, tenant string, id int64) error {
	defer d.metrics.time("key")()
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	tag, err := d.pool.Exec(ctx, "DELETE FROM keys WHERE id = $1 AND tenant = $2", id, tenant)
	if err == nil && tag.RowsAffected() == 0 {
		return postrider.Errorf(postrider.CodeNotFound, "there is no such key")
	}
	return fault(ctx, "delete a key", err)
}

// CheckSecretKey compares or stores the fingerprint; see postrider.Database.
func (d *Database) CheckSecretKey(ctx context.Context, fingerprint [32]byte) error {
	ctx, cancel := bounded(ctx, callTime)
	defer cancel()
	var stored []byte
	const find = "SELECT value FROM meta WHERE name = 'secret_key'"
	err := d.pool.QueryRow(ctx, find).Scan(&stored)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = d.pool.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('secret_key', $1) ON CONFLICT DO NOTHING", fingerprint[:]); err == nil {
			err = d.pool.QueryRow(ctx, find).Scan(&stored) // another process may have been first
		}
	}
	if err == nil && !bytes.Equal(stored, fingerprint[:]) {
		return postrider.Errorf(postrider.CodeConflict, "the secret key is not the one that this database was written with; its secrets could not be read")
	}
	return fault(ctx, "check the secret key", err)
}
