package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/seal"
)

// openKeys reads or makes the keys, and holds the secret key against what the database was written with.
func (a *app) openKeys(ctx context.Context) error {
	var err error
	if a.adminKey, a.adminFile, err = adminKey(a.Config); err != nil {
		return err
	}
	key, err := secretKey(a.Config)
	if err != nil {
		return err
	}
	if a.box, err = seal.New(key); err != nil {
		return fmt.Errorf("secret key: %w", err)
	}
	err = a.engines.database.CheckSecretKey(ctx, a.box.Fingerprint())
	var fault *postrider.Error
	if errors.As(err, &fault) && fault.Code == postrider.CodeConflict {
		return a.wrongSecretKey()
	}
	if err != nil {
		return fmt.Errorf("checking the secret key: %w", err)
	}
	return nil
}

// wrongSecretKey refuses a key that is not the database's. One that this start made is removed: it is of no use, and it would be in the
// way of the one that is to be put back.
func (a *app) wrongSecretKey() error {
	path := filepath.Join(a.Config.Data, SecretKeyFile)
	if a.keyless {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing the new secret key, which is not the one that this database was written with: %w", err)
		}
		return fmt.Errorf("there is no secret key (--secret-key, or %s), but this database was written with one, without which the secrets in it cannot be read: put it back", path)
	}
	return fmt.Errorf("the secret key (--secret-key, or %s) is not the one that this database was written with, so the secrets in it cannot be read: put the former key back", path)
}
