package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/postrider/postrider"
)

// keyPrefix begins every tenant's key, so that scanners find leaked ones.
const keyPrefix = "prk_"

// keyView is a key as it is listed.
type keyView struct {
	ID        int64  `json:"id"`
	Name      string `json:"name,omitempty"`
	CreatedAt string `json:"createdAt"`
	Key       string `json:"key,omitempty" doc:"in the answer that creates it only"`
}

// keyInput is what a key is made by.
type keyInput struct {
	Name string `json:"name,omitempty"`
}

// keyTenant is the tenant that the path names.
func (c *call) keyTenant() (string, error) {
	tenant := c.params["tenant"]
	return tenant, postrider.CheckTenant(tenant)
}

func createKey(c *call) error {
	tenant, err := c.keyTenant()
	if err != nil {
		return err
	}
	o, err := c.readObject(jsonMedia, true)
	if err != nil {
		return err
	}
	k := &postrider.Key{Tenant: tenant}
	var faults postrider.Faults
	o.read("", &faults, map[string]member{"name": text(&k.Name)})
	if len(k.Name) > postrider.MaxNameLength {
		faults.Addf("name", "has %d bytes; at most %d are allowed", len(k.Name), postrider.MaxNameLength)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	shown := keyPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	k.Hash = sha256.Sum256([]byte(shown))
	if err := c.api.Database.CreateKey(c.r.Context(), k); err != nil {
		return err
	}
	c.w.Header().Set("Location", fmt.Sprintf("%s/tenants/%s/keys/%d", c.api.base, tenant, k.ID))
	return c.answer(http.StatusCreated, keyView{ID: k.ID, Name: k.Name, CreatedAt: stamp(k.CreatedAt), Key: shown})
}

func listKeys(c *call) error {
	tenant, err := c.keyTenant()
	if err != nil {
		return err
	}
	keys, err := c.api.Database.Keys(c.r.Context(), tenant)
	if err != nil {
		return err
	}
	out := list[keyView]{Items: make([]keyView, 0, len(keys))}
	for _, k := range keys {
		out.Items = append(out.Items, keyView{ID: k.ID, Name: k.Name, CreatedAt: stamp(k.CreatedAt)})
	}
	return c.answer(http.StatusOK, out)
}

func deleteKey(c *call) error {
	tenant, err := c.keyTenant()
	if err != nil {
		return err
	}
	id, err := c.entityID("key")
	if err != nil {
		return err
	}
	if err := c.api.Database.DeleteKey(c.r.Context(), tenant, id); err != nil {
		return err
	}
	c.api.keys.forget()
	return c.empty(http.StatusNoContent)
}
