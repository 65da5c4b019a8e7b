package app

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// Names of the files in DATA that hold keys.
const (
	AdminKeyFile  = "admin.key"
	SecretKeyFile = "secret.key"
)

// newAdminKey makes a key of 32 random bytes.
func newAdminKey() string { return "pra_" + base64.RawURLEncoding.EncodeToString(random32()) }

// newSecretKey makes a key as --secret-key takes it.
func newSecretKey() string { return base64.StdEncoding.EncodeToString(random32()) }

func random32() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// adminKey is the configured key, else the one in DATA, made if there is none. path is "" for a configured one.
func adminKey(c *config.Config) (key, path string, err error) {
	if c.AdminKey != "" {
		return string(c.AdminKey), "", nil
	}
	path = filepath.Join(c.Data, AdminKeyFile)
	key, err = keyFromFile(path, newAdminKey)
	if err == nil && len(key) < config.MinAdminKey {
		err = fmt.Errorf("%s holds a key of %d characters; at least %d are needed", path, len(key), config.MinAdminKey)
	}
	return key, path, err
}

// secretKey is the configured key, else the one in DATA, made if there is none.
func secretKey(c *config.Config) ([]byte, error) {
	if c.SecretKey != nil {
		return c.SecretKey, nil
	}
	path := filepath.Join(c.Data, SecretKeyFile)
	text, err := keyFromFile(path, newSecretKey)
	if err != nil {
		return nil, err
	}
	key, err := config.ParseSecretKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// lacksSecretKey reports whether no secret key is configured, and none is in DATA.
func lacksSecretKey(c *config.Config) bool {
	_, err := os.Stat(filepath.Join(c.Data, SecretKeyFile))
	return c.SecretKey == nil && errors.Is(err, fs.ErrNotExist)
}

// ownKey is drawn from the secret key. It proves Postrider's own events on a log that others may write to.
func ownKey(c *config.Config) ([]byte, error) {
	key, err := secretKey(c)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, key, nil, "postrider own events v1", sha256.Size)
}

// keyFromFile reads a key, or makes the file, so that a crash leaves a whole one or none. A file that others may read is
// refused.
func keyFromFile(path string, make func() string) (string, error) {
	key, err := ReadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createFile(path, make()+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making %s: %w", path, err)
	}
	return ReadKeyFile(path)
}

// ReadKeyFile reads a key that its owner alone may read.
func ReadKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("%s can be used by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// createFile makes a file with mode 0600 that is durable and whole when it appears, or fails with fs.ErrExist.
func createFile(path, content string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // a leftover does no harm
	_, err = tmp.WriteString(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
