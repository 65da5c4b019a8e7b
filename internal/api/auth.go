package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"github.com/postrider/postrider"
)

const (
	keyAge   = 900 * time.Millisecond // a deleted key is refused within a second
	keysKept = 10_000
)

// keyCache remembers for a moment whose keys are whose, so that intake costs no query a request. It is keyed by hash: a
// lookup compares digests, never keys.
type keyCache struct {
	mu     sync.RWMutex
	byHash map[[32]byte]cachedKey
}

type cachedKey struct {
	tenant string // "": there is no such key
	until  time.Time
}

// isAdmin compares digests in constant time.
func (a *API) isAdmin(hash [32]byte) bool {
	admin := sha256.Sum256([]byte(a.AdminKey))
	return a.AdminKey != "" && subtle.ConstantTimeCompare(hash[:], admin[:]) == 1
}

// tenantOf finds a key's tenant, or CodeUnauthorized.
func (a *API) tenantOf(ctx context.Context, hash [32]byte) (string, error) {
	now := a.Clock()
	a.keys.mu.RLock()
	known, ok := a.keys.byHash[hash]
	a.keys.mu.RUnlock()
	if !ok || !now.Before(known.until) || known.until.Sub(now) > keyAge {
		key, err := a.Database.KeyByHash(ctx, hash)
		switch {
		case postrider.CodeOf(err) == postrider.CodeNotFound:
			known = cachedKey{until: now.Add(keyAge)}
		case err != nil:
			return "", err
		default:
			known = cachedKey{tenant: key.Tenant, until: now.Add(keyAge)}
		}
		a.keys.put(hash, known)
	}
	if known.tenant == "" {
		return "", postrider.Errorf(postrider.CodeUnauthorized, "the key is not known")
	}
	return known.tenant, nil
}

func (k *keyCache) put(hash [32]byte, key cachedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byHash == nil || len(k.byHash) >= keysKept {
		k.byHash = map[[32]byte]cachedKey{}
	}
	k.byHash[hash] = key
}

// forget makes the next request look every key up.
func (k *keyCache) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byHash = nil
}
