package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

func TestKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	c := &config.Config{Data: t.TempDir()}
	admin, path, err := adminKey(c)
	if err != nil || len(admin) < config.MinAdminKey || path != filepath.Join(c.Data, AdminKeyFile) {
		t.Fatalf("%q at %q: %v", admin, path, err)
	}
	secret, err := secretKey(c)
	if err != nil || len(secret) != 32 {
		t.Fatalf("%d bytes: %v", len(secret), err)
	}
	again, _, err := adminKey(c)
	if err != nil || again != admin {
		t.Errorf("another key at the second start: %v", err)
	}
	same, err := secretKey(c)
	if err != nil || string(same) != string(secret) {
		t.Errorf("another secret key at the second start: %v", err)
	}
	for _, name := range []string{AdminKeyFile, SecretKeyFile} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, mode %v", name, err, info.Mode())
		}
	}
	if entries, err := os.ReadDir(c.Data); err != nil || len(entries) != 2 {
		t.Errorf("leftovers: %v %v", entries, err)
	}
}

func TestConfiguredKeysMakeNoFile(t *testing.T) {
	t.Parallel()
	c := &config.Config{Data: t.TempDir(), AdminKey: "0123456789abcdef", SecretKey: make([]byte, 32)}
	key, path, err := adminKey(c)
	if err != nil || key != "0123456789abcdef" || path != "" {
		t.Errorf("%q at %q: %v", key, path, err)
	}
	if _, err := secretKey(c); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(c.Data); err != nil || len(entries) != 0 {
		t.Errorf("files: %v %v", entries, err)
	}
}

func TestKeyFileOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), AdminKeyFile)
	if err := os.WriteFile(path, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := ReadKeyFile(path); err != nil || key != "0123456789abcdef" {
		t.Fatalf("%q: %v", key, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeyFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestShortKeysAreRefused(t *testing.T) {
	t.Parallel()
	c := &config.Config{Data: t.TempDir()}
	for name, content := range map[string]string{AdminKeyFile: "short", SecretKeyFile: "bm90IDMyIGJ5dGVz"} {
		if err := os.WriteFile(filepath.Join(c.Data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := adminKey(c); err == nil || strings.Contains(err.Error(), "short ") {
		t.Errorf("a short admin key: %v", err)
	}
	if _, err := secretKey(c); err == nil || !strings.Contains(err.Error(), SecretKeyFile) {
		t.Errorf("a short secret key: %v", err)
	}
}

func TestRacingStartsAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), AdminKeyFile)
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := keyFromFile(path, newAdminKey)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, key := range keys {
		if key != keys[0] || key == "" {
			t.Errorf("keys %q and %q", key, keys[0])
		}
	}
	if err := createFile(path, "x"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an existing key is overwritten: %v", err)
	}
}
