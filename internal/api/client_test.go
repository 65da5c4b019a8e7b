package api_test

import (
	"errors"
	"testing"

	"github.com/postrider/postrider/client"
)

func TestClient(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, err := client.New(client.Options{URL: s.url, Key: adminKey, Tenant: "acme", HTTP: s.http})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for range 3 {
		if target, err := c.CreateTarget(ctx, client.Target{URL: "https://example.com/"}); err != nil || target.Secret == "" {
			t.Fatalf("%+v, %v", target, err)
		}
	}
	n := 0
	for target, err := range c.AllTargets(ctx) {
		if n++; err != nil || target.URL != "https://example.com/" {
			t.Fatalf("%+v, %v", target, err)
		}
	}
	if n != 3 {
		t.Errorf("%d targets", n)
	}
	odd := "a/b+c="
	if id, err := c.Publish(ctx, client.Event{Type: "a.b", ID: odd, Payload: []byte("x")}); err != nil || id != odd {
		t.Errorf("%q, %v", id, err)
	}
	if e, err := c.Event(ctx, odd); err != nil || e.Tenant != "acme" || e.Size != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = c.CreateTarget(ctx, client.Target{URL: "ftp://example.com"})
	var fault *client.Error
	if !errors.As(err, &fault) || fault.Status != 422 || len(fault.Fields) != 1 || fault.Fields[0].Field != "url" {
		t.Errorf("%v", err)
	}
}
