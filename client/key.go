package client

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// Key lets a tenant use the API.
type Key struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	Key       string    `json:"key"` // when it is made only
}

func keys(tenant string) string { return "/tenants/" + url.PathEscape(tenant) + "/keys" }

// CreateKey makes a key of a tenant. It needs the admin key.
func (c *Client) CreateKey(ctx context.Context, tenant, name string) (*Key, error) {
	return post[Key](ctx, c, keys(tenant), map[string]string{"name": name})
}

// Keys lists a tenant's keys. It needs the admin key.
func (c *Client) Keys(ctx context.Context, tenant string) ([]Key, error) {
	out, err := get[Page[Key]](ctx, c, keys(tenant))
	return out.Items, err
}

// DeleteKey deletes a key. It needs the admin key.
func (c *Client) DeleteKey(ctx context.Context, tenant string, id int64) error {
	return remove(ctx, c, fmt.Sprintf("%s/%d", keys(tenant), id), false)
}
