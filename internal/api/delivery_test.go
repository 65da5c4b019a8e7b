package api_test

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider"
)

// attempted publishes an event and has one attempt of its delivery fail.
func (s *server) attempted(t *testing.T) (event, target string, targetID int64, id postrider.DeliveryID) {
	t.Helper()
	target, _, _ = s.entities(t, adminKey)
	fmt.Sscan(target, &targetID)
	event = s.want(t, 202, "POST", "/webhooks/events?type=core.a", "x").json(t)["id"].(string)
	return event, target, targetID, s.delivered(t, "default", event, targetID, postrider.StateRetrying)
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	event, target, targetID, id := s.attempted(t)
	path := "/webhooks/deliveries/" + id.String()
	m := s.want(t, 200, "GET", path, "").json(t)
	if m["state"] != "retrying" || m["eventId"] != event || m["attempts"] != 1.0 || m["eventType"] != "core.a" {
		t.Errorf("got %v", m)
	}
	attempts := s.want(t, 200, "GET", path+"/attempts", "").json(t)["items"].([]any)
	if a := attempts[0].(map[string]any); len(attempts) != 1 || a["number"] != 1.0 || a["response"] != "no\ufffd" || a["durationMs"] != 0.0 {
		t.Errorf("attempts %v", attempts)
	}
	s.delivered(t, "default", event, targetID, postrider.StateExhausted)
	list := s.want(t, 200, "GET", "/webhooks/deliveries?state=exhausted&targetId="+target+"&eventId="+event+"&eventType=core.a&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z", "").json(t)
	if len(list["items"].([]any)) != 1 || list["asOf"] == nil {
		t.Errorf("list %v", list)
	}
	if m := s.want(t, 200, "GET", "/webhooks/events/"+event, "").json(t); len(m["deliveries"].([]any)) != 1 {
		t.Errorf("event %v", m)
	}
	for _, bad := range []string{"dlv_x", "x", "dlv_00000000000000000000000000"} {
		s.want(t, 404, "GET", "/webhooks/deliveries/"+bad, "")
	}
}

func TestDeliveryQueries(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.attempted(t)
	for query, n := range map[string]int{"until=0001-01-01T00:00:00Z": 0, "until=1900-01-01T00:00:00Z": 0, "until=9999-01-01T00:00:00Z": 1, "since=0001-01-01T00:00:00Z": 1, "since=9999-01-01T00:00:00Z": 0} {
		if got := s.want(t, 200, "GET", "/webhooks/deliveries?"+query, "").json(t)["items"].([]any); len(got) != n {
			t.Errorf("%s: %d deliveries, want %d", query, len(got), n)
		}
	}
	for query, fields := range map[string]string{"state=done": "state", "targetId=x": "targetId", "since=yesterday": "since", "until=1": "until", "eventType=*": "eventType", "limit=999": "limit"} {
		if got := s.want(t, 422, "GET", "/webhooks/deliveries?"+query, "").fields(t); got != fields {
			t.Errorf("%s names %q", query, got)
		}
	}
}
