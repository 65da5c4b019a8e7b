package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Target is where messages are sent.
type Target struct {
	ID           int64             `json:"id,omitempty"`
	URL          string            `json:"url,omitempty"`
	Name         string            `json:"name,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"` // values are never shown again
	Retry        *Retry            `json:"retry,omitempty"`
	MaxInFlight  int               `json:"maxInFlight,omitempty"`
	AllowPrivate bool              `json:"allowPrivate,omitempty"`
	State        string            `json:"state,omitempty"`
	StateReason  string            `json:"stateReason,omitempty"`
	CreatedAt    *time.Time        `json:"createdAt,omitempty"`
	UpdatedAt    *time.Time        `json:"updatedAt,omitempty"`
	Secret       string            `json:"secret,omitempty"` // of a new target only
}

// Retry is a retry policy; durations such as "10s". Empty ones are the system's.
type Retry struct {
	Base   string `json:"base,omitempty"`
	Max    string `json:"max,omitempty"`
	Window string `json:"window,omitempty"`
}

// Filter is a group of event types.
type Filter struct {
	ID        int64      `json:"id,omitempty"`
	Events    []string   `json:"events,omitempty"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	UpdatedAt *time.Time `json:"updatedAt,omitempty"`
}

// Subscription binds a target and a filter.
type Subscription struct {
	ID        int64      `json:"id,omitempty"`
	TargetID  int64      `json:"targetId,omitempty"`
	FilterID  int64      `json:"filterId,omitempty"`
	Active    *bool      `json:"active,omitempty"` // nil, when it is made: true
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	UpdatedAt *time.Time `json:"updatedAt,omitempty"`
}

// Patch changes members of an entity (RFC 7396); a nil value takes the member away.
type Patch map[string]any

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // for PageOptions.After; "" on the last page
}

// PageOptions say which part of a list is wanted.
type PageOptions struct {
	Limit int // 1 to 200; 0: the server's default
	After string
}

func (o PageOptions) values() url.Values {
	v := url.Values{}
	if o.Limit > 0 {
		v.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.After != "" {
		v.Set("after", o.After)
	}
	return v
}

func query(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// all goes through every page.
func all[T any](ctx context.Context, page func(ctx context.Context, after string) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := ""
		for {
			p, err := page(ctx, after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	out := new(T)
	return out, c.call(ctx, http.MethodGet, path, nil, out)
}

func post[T any](ctx context.Context, c *Client, path string, in any) (*T, error) {
	out := new(T)
	return out, c.call(ctx, http.MethodPost, path, in, out)
}

func patch[T any](ctx context.Context, c *Client, path string, in Patch) (*T, error) {
	out := new(T)
	return out, c.call(ctx, http.MethodPatch, path, in, out)
}

func remove(ctx context.Context, c *Client, path string, cascade bool) error {
	if cascade {
		path += "?cascade=true"
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// CreateTarget makes a target. Its Secret is in this answer only.
func (c *Client) CreateTarget(ctx context.Context, t Target) (*Target, error) {
	return post[Target](ctx, c, "/webhooks/targets", t)
}

// Target returns a target.
func (c *Client) Target(ctx context.Context, id int64) (*Target, error) {
	return get[Target](ctx, c, entity("targets", id))
}

// Targets lists targets, oldest first.
func (c *Client) Targets(ctx context.Context, o PageOptions) (*Page[Target], error) {
	return get[Page[Target]](ctx, c, query("/webhooks/targets", o.values()))
}

// AllTargets goes through every target.
func (c *Client) AllTargets(ctx context.Context) iter.Seq2[Target, error] {
	return all(ctx, func(ctx context.Context, after string) (*Page[Target], error) {
		return c.Targets(ctx, PageOptions{Limit: 200, After: after})
	})
}

// ChangeTarget changes a target.
func (c *Client) ChangeTarget(ctx context.Context, id int64, p Patch) (*Target, error) {
	return patch[Target](ctx, c, entity("targets", id), p)
}

// EnableTarget turns a target on again.
func (c *Client) EnableTarget(ctx context.Context, id int64) (*Target, error) {
	return post[Target](ctx, c, entity("targets", id)+"/enable", nil)
}

// RotateSecret makes a new secret; the one before signs too for a time.
func (c *Client) RotateSecret(ctx context.Context, id int64) (string, error) {
	out, err := post[struct {
		Secret string `json:"secret"`
	}](ctx, c, entity("targets", id)+"/secrets", nil)
	return out.Secret, err
}

// DeleteTarget deletes a target; with cascade its subscriptions too.
func (c *Client) DeleteTarget(ctx context.Context, id int64, cascade bool) error {
	return remove(ctx, c, entity("targets", id), cascade)
}

// CreateFilter makes a filter.
func (c *Client) CreateFilter(ctx context.Context, f Filter) (*Filter, error) {
	return post[Filter](ctx, c, "/webhooks/filters", f)
}

// Filter returns a filter.
func (c *Client) Filter(ctx context.Context, id int64) (*Filter, error) {
	return get[Filter](ctx, c, entity("filters", id))
}

// Filters lists filters, oldest first.
func (c *Client) Filters(ctx context.Context, o PageOptions) (*Page[Filter], error) {
	return get[Page[Filter]](ctx, c, query("/webhooks/filters", o.values()))
}

// ChangeFilter changes a filter.
func (c *Client) ChangeFilter(ctx context.Context, id int64, p Patch) (*Filter, error) {
	return patch[Filter](ctx, c, entity("filters", id), p)
}

// DeleteFilter deletes a filter; with cascade the subscriptions that use it too.
func (c *Client) DeleteFilter(ctx context.Context, id int64, cascade bool) error {
	return remove(ctx, c, entity("filters", id), cascade)
}

// CreateSubscription makes a subscription.
func (c *Client) CreateSubscription(ctx context.Context, s Subscription) (*Subscription, error) {
	return post[Subscription](ctx, c, "/webhooks/subscriptions", s)
}

// Subscription returns a subscription.
func (c *Client) Subscription(ctx context.Context, id int64) (*Subscription, error) {
	return get[Subscription](ctx, c, entity("subscriptions", id))
}

// Subscriptions lists subscriptions, oldest first.
func (c *Client) Subscriptions(ctx context.Context, o PageOptions) (*Page[Subscription], error) {
	return get[Page[Subscription]](ctx, c, query("/webhooks/subscriptions", o.values()))
}

// ChangeSubscription changes a subscription.
func (c *Client) ChangeSubscription(ctx context.Context, id int64, p Patch) (*Subscription, error) {
	return patch[Subscription](ctx, c, entity("subscriptions", id), p)
}

// DeleteSubscription deletes a subscription.
func (c *Client) DeleteSubscription(ctx context.Context, id int64) error {
	return remove(ctx, c, entity("subscriptions", id), false)
}
