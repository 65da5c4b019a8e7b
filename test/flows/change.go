package flows

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// Tenants holds that a tenant sees only its own.
func Tenants(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, nil)
	var key struct {
		ID  int64
		Key string
	}
	s.Do(t, http.StatusCreated, http.MethodPost, "/tenants/acme/keys", map[string]string{"name": "test"}, &key)
	as, acme := "Authorization: Bearer "+key.Key, "Postrider-Tenant: acme"

	mine := s.Target(t, r.URL+"/default")
	theirs := s.Target(t, r.URL+"/acme", acme)
	s.Subscribe(t, mine.ID, []string{"*"})
	s.Subscribe(t, theirs.ID, []string{"*"}, acme)

	s.Do(t, http.StatusNotFound, http.MethodGet, path("/webhooks/targets/%d", mine.ID), nil, nil, as)
	s.Do(t, http.StatusNotFound, http.MethodGet, path("/webhooks/targets/%d", theirs.ID), nil, nil)
	s.Do(t, http.StatusForbidden, http.MethodGet, "/webhooks/targets", nil, nil, as, "Postrider-Tenant: other")
	s.Do(t, http.StatusForbidden, http.MethodPost, "/tenants/acme/keys", nil, nil, as)

	id := s.Publish(t, "a.b", []byte("{}"), as)
	m := r.AwaitCount(t, 1)[0]
	if m.Path != "/acme" || m.ID != id {
		t.Errorf("the event of acme went to %s", m.Path)
	}
	verify(t, m, theirs.Secret)
	d := s.AwaitState(t, id, theirs.ID, "delivered", as)
	s.Do(t, http.StatusNotFound, http.MethodGet, "/webhooks/deliveries/"+d.ID, nil, nil)
	s.Do(t, http.StatusNotFound, http.MethodGet, "/webhooks/events/"+id, nil, nil)
	if n := len(s.Deliveries(t, "")); n != 0 {
		t.Errorf("the default tenant sees %d deliveries of another", n)
	}

	s.Do(t, http.StatusNoContent, http.MethodDelete, path("/tenants/acme/keys/%d", key.ID), nil, nil)
	harness.Await(t, func() string {
		a, err := s.Call(t.Context(), http.MethodGet, "/webhooks/targets", nil, as)
		if err != nil || a.Status != http.StatusUnauthorized {
			return "the deleted key is still good"
		}
		return ""
	})
}

// RotatedSecretHoldsForRetries rotates a secret while a delivery is retried. It needs Fast.
func RotatedSecretHoldsForRetries(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if signatures(*m) == 2 {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	})
	target := s.Target(t, r.URL)
	s.Subscribe(t, target.ID, []string{"*"})
	id := s.Publish(t, "a.b", []byte("x"))
	first := r.AwaitCount(t, 1)[0]
	verify(t, first, target.Secret)
	if signatures(first) != 1 {
		t.Errorf("%d signatures before the rotation", signatures(first))
	}
	var rotated struct{ Secret string }
	s.Do(t, http.StatusCreated, http.MethodPost, path("/webhooks/targets/%d/secrets", target.ID), nil, &rotated)
	s.Settle(t)
	s.AwaitState(t, id, target.ID, "delivered")
	messages := r.Messages()
	last := messages[len(messages)-1]
	verify(t, last, rotated.Secret)
	verify(t, last, target.Secret)
}

// ChangedURLHoldsForRetries changes a URL while a delivery is retried. It needs Fast.
func ChangedURLHoldsForRetries(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if m.Path == "/old" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	target := s.Target(t, r.URL+"/old")
	s.Subscribe(t, target.ID, []string{"*"})
	id := s.Publish(t, "a.b", []byte("x"))
	r.AwaitCount(t, 1)
	s.Do(t, http.StatusOK, http.MethodPatch, path("/webhooks/targets/%d", target.ID), map[string]string{"url": r.URL + "/new"}, nil)
	s.Settle(t)
	s.AwaitState(t, id, target.ID, "delivered")
	messages := r.Messages()
	if last := messages[len(messages)-1]; last.Path != "/new" {
		t.Errorf("delivered to %s", last.Path)
	}
}

// DeactivatedAndDeletedHoldForRetries unsubscribes and deletes while deliveries are retried. It needs Fast.
func DeactivatedAndDeletedHoldForRetries(t *testing.T, s *harness.Server) {
	t.Helper()
	r := harness.NewReceiver(t, func(*harness.Message, http.ResponseWriter) int { return http.StatusInternalServerError })
	unsubscribed, deleted := s.Target(t, r.URL+"/unsubscribed"), s.Target(t, r.URL+"/deleted")
	sub := s.Subscribe(t, unsubscribed.ID, []string{"*"})
	s.Subscribe(t, deleted.ID, []string{"*"})
	id := s.Publish(t, "a.b", []byte("x"))
	r.Await(t, "a first attempt at each", func(m []harness.Message) bool {
		seen := map[string]bool{}
		for _, one := range m {
			seen[one.Path] = true
		}
		return len(seen) == 2
	})
	s.Do(t, http.StatusOK, http.MethodPatch, path("/webhooks/subscriptions/%d", sub), map[string]bool{"active": false}, nil)
	s.Settle(t)
	s.Do(t, http.StatusConflict, http.MethodDelete, path("/webhooks/targets/%d", deleted.ID), nil, nil)
	s.Do(t, http.StatusNoContent, http.MethodDelete, path("/webhooks/targets/%d?cascade=true", deleted.ID), nil, nil)
	s.Settle(t)
	if d := s.AwaitState(t, id, unsubscribed.ID, "cancelled"); d.Reason != "unsubscribed" {
		t.Errorf("reason %q", d.Reason)
	}
	if d := s.AwaitState(t, id, deleted.ID, "cancelled"); d.Reason != "target_deleted" {
		t.Errorf("reason %q", d.Reason)
	}
}

// TurnedOffToldAndEnabled has a target turn itself off, and turns it on again. It needs Fast.
func TurnedOffToldAndEnabled(t *testing.T, s *harness.Server) {
	t.Helper()
	var gone atomic.Bool
	gone.Store(true)
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		if m.Path == "/gone" && gone.Load() {
			return http.StatusGone
		}
		return http.StatusOK
	})
	target, watcher := s.Target(t, r.URL+"/gone"), s.Target(t, r.URL+"/watch")
	s.Subscribe(t, target.ID, []string{"*"})
	s.Subscribe(t, watcher.ID, []string{"postrider.*"})
	id := s.Publish(t, "a.b", []byte("x"))
	first := s.AwaitState(t, id, target.ID, "cancelled")
	if first.Reason != "target_off" {
		t.Errorf("reason %q", first.Reason)
	}
	told := r.Await(t, "the notice", func(m []harness.Message) bool {
		return len(m) == 2
	})[1]
	if told.Type != "postrider.target.disabled" || told.Path != "/watch" {
		t.Errorf("wrong notice: %s at %s: %s", told.Type, told.Path, told.Body)
	}
	verify(t, told, watcher.Secret)

	var shown harness.Target
	s.Do(t, http.StatusOK, http.MethodGet, path("/webhooks/targets/%d", target.ID), nil, &shown)
	if shown.State != "off" || shown.StateReason == "" {
		t.Errorf("target %+v", shown)
	}
	harness.Await(t, func() string { // the consumer hears of it a little later
		d := s.AwaitState(t, s.Publish(t, "a.b", []byte("y")), target.ID, "cancelled")
		if d.Reason != "target_off" || d.Attempts != 0 {
			return "what is published while it is off is still attempted"
		}
		return ""
	})
	s.Do(t, http.StatusConflict, http.MethodPost, "/webhooks/deliveries/"+first.ID+"/replay", nil, nil)

	gone.Store(false)
	s.Do(t, http.StatusOK, http.MethodPost, path("/webhooks/targets/%d/enable", target.ID), nil, nil)
	s.Settle(t)
	s.Do(t, http.StatusAccepted, http.MethodPost, "/webhooks/deliveries/"+first.ID+"/replay", nil, nil)
	s.AwaitState(t, id, target.ID, "delivered")
	s.AwaitState(t, s.Publish(t, "a.b", []byte("z")), target.ID, "delivered")
	s.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/webhooks/events", []byte("x"), nil, "Postrider-Event-Type: postrider.target.disabled")
}

func signatures(m harness.Message) int { return len(strings.Fields(m.Header.Get("webhook-signature"))) }
