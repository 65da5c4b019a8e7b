package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/sign"
)

// maxMaterials bounds how many targets' material is kept.
const maxMaterials = 20_000

// materials keeps what messages to a target are made with, by the version of the target.
type materials struct {
	open      func(sealed []byte, ad string) ([]byte, error)
	userAgent []string

	mu      sync.RWMutex
	targets map[int64]*material
}

// material is a target's URL, keys and headers, ready for use. It is not changed.
type material struct {
	version uint64
	raw     string
	url     *url.URL
	headers http.Header // those of the target, and User-Agent
	keys    []key
	always  []*sign.Key // all of them, if none ever expires
}

// key signs until it expires.
type key struct {
	*sign.Key
	expires time.Time
}

func newMaterials(open func([]byte, string) ([]byte, error), userAgent string) *materials {
	return &materials{open: open, userAgent: []string{userAgent}, targets: make(map[int64]*material)}
}

// of returns a target's material.
func (m *materials) of(t *postrider.Target) (*material, error) {
	m.mu.RLock()
	x := m.targets[t.ID]
	m.mu.RUnlock()
	if x != nil && x.version == t.Version && x.raw == t.URL {
		return x, nil
	}
	x, err := m.make(t)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.targets) >= maxMaterials {
		for id := range m.targets { // any: what is in use comes back
			delete(m.targets, id)
			break
		}
	}
	m.targets[t.ID] = x
	return x, nil
}

func (m *materials) make(t *postrider.Target) (*material, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("the target's url: %w", err)
	}
	u.RawQuery = encoded(u.RawQuery)
	x := &material{version: t.Version, raw: t.URL, url: u, headers: http.Header{"User-Agent": m.userAgent}}
	if err := m.addHeaders(x, t); err != nil {
		return nil, err
	}
	forever := true
	for _, s := range t.Secrets {
		raw, err := m.open(s.Sealed, "secret/"+t.Tenant)
		if err != nil {
			return nil, fmt.Errorf("open a secret of the target: %w", err)
		}
		x.keys = append(x.keys, key{sign.NewKey(raw), s.ExpiresAt})
		forever = forever && s.ExpiresAt.IsZero()
	}
	if forever {
		x.always = x.valid(time.Time{})
	}
	return x, nil
}

// encoded is a query with what may not stand in a request line percent-encoded; net/url does that with a path only. The API takes no
// such URL, but targets stored by a version that did may have one.
func encoded(query string) string {
	plain := func(c byte) bool { return c > ' ' && c < 0x7f }
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (m *materials) addHeaders(x *material, t *postrider.Target) error {
	headers := t.Headers
	if len(t.SealedHeaders) > 0 {
		raw, err := m.open(t.SealedHeaders, "headers/"+t.Tenant)
		if err != nil {
			return fmt.Errorf("open the headers of the target: %w", err)
		}
		headers = nil
		if err := json.Unmarshal(raw, &headers); err != nil {
			return fmt.Errorf("the headers of the target: %w", err)
		}
	}
	for name, value := range headers {
		x.headers.Set(name, value)
	}
	return nil
}

// signing returns the keys that sign at a time, the newest first, as the target has them.
func (x *material) signing(now time.Time) []*sign.Key {
	if x.always != nil {
		return x.always
	}
	return x.valid(now)
}

func (x *material) valid(now time.Time) []*sign.Key {
	keys := make([]*sign.Key, 0, len(x.keys))
	for _, k := range x.keys {
		if k.expires.IsZero() || now.Before(k.expires) {
			keys = append(keys, k.Key)
		}
	}
	return keys
}
