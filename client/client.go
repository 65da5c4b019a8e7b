// Package client is the Go client of Postrider's REST API.
//
// Every method takes a context and blocks until the answer is there. An answer that is no success is an [*Error]. A
// Client is safe for concurrent use.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxAnswer = 64 << 20

// Options say which server is used, and as whom.
type Options struct {
	URL    string       // of the server, with its base path, such as http://127.0.0.1:8400
	Key    string       // a tenant's key, or the admin key
	Tenant string       // with the admin key: whom to act for; "" is the tenant default
	HTTP   *http.Client // nil: one with a timeout of a minute
}

// Client calls a server.
type Client struct {
	base   string
	key    string
	tenant string
	http   *http.Client
}

// New makes a Client. It fails if the URL is none; it does not connect.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL of a server: use one such as http://127.0.0.1:8400", o.URL)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: time.Minute}
	}
	return &Client{base: strings.TrimRight(o.URL, "/"), key: o.Key, tenant: o.Tenant, http: o.HTTP}, nil
}

// Error is an answer that is no success: a problem document (RFC 9457).
type Error struct {
	Status int          `json:"status"`
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Fields []FieldError `json:"errors"`
	// RetryAfter is when to repeat the request, if the server said so.
	RetryAfter string `json:"-"`
}

// FieldError names a faulty field.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error tells the status, what is wrong, and each faulty field.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s %s", f.Field, f.Message)
	}
	return b.String()
}

// call sends JSON, or nothing, and reads JSON.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	header := http.Header{}
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(raw)
		header.Set("Content-Type", "application/json")
	}
	return c.send(ctx, method, path, header, body, out)
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	r.Header = header
	if c.key != "" {
		header.Set("Authorization", "Bearer "+c.key)
	}
	if c.tenant != "" {
		header.Set("Postrider-Tenant", c.tenant)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("call the server: %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return failure(response, raw)
	}
	if out == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

func failure(response *http.Response, raw []byte) error {
	e := &Error{}
	if json.Unmarshal(raw, e) != nil { // not ours: a proxy between
		e.Detail = strings.TrimSpace(string(raw[:min(len(raw), 200)]))
	}
	e.Status, e.RetryAfter = response.StatusCode, response.Header.Get("Retry-After")
	return e
}

func entity(collection string, id int64) string {
	return fmt.Sprintf("/webhooks/%s/%d", collection, id)
}
