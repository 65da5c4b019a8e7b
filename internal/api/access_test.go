package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/api"
)

// operations are the method and path of all routes that need a key, as the OpenAPI document tells them, so that none is
// forgotten.
func operations(t *testing.T) [][2]string {
	t.Helper()
	var all [][2]string
	for path, item := range described() {
		for method, op := range item {
			if len(op.Security) > 0 {
				all = append(all, [2]string{strings.ToUpper(method), path})
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d operations", len(all))
	}
	return all
}

func TestEveryRouteWithoutAndWithBadKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, op := range operations(t) {
		path := strings.NewReplacer("{id}", "1", "{tenant}", "acme").Replace(op[1])
		for _, key := range []string{"", "prk_nonsense", adminKey + "x"} {
			if a := s.wantAs(t, key, 401, op[0], path, "{}"); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s: no WWW-Authenticate", op[0], path)
			}
		}
		s.want(t, 422, op[0], path, "{}", "Postrider-Tenant: not a tenant")
		if a := s.want(t, 405, "PUT", path, ""); a.header.Get("Allow") == "" {
			t.Errorf("PUT %s: no Allow", path)
		}
	}
}

func TestEveryRouteWithAForeignKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	target, filter, subscription := s.entities(t, adminKey)
	acme := s.key(t, "acme")
	event := s.want(t, 202, "POST", "/webhooks/events?type=core.a", "x").json(t)["id"].(string)
	ids := map[string]string{"targets": target, "filters": filter, "subscriptions": subscription, "events": event, "deliveries": "dlv_00000000000000000000000000"}
	for _, op := range operations(t) {
		path := strings.ReplaceAll(op[1], "{tenant}", "acme")
		s.wantAs(t, acme, 403, op[0], strings.ReplaceAll(path, "{id}", "1"), "{}", "Postrider-Tenant: default")
		switch parts := strings.Split(path, "/"); {
		case parts[1] == "tenants":
			s.wantAs(t, acme, 403, op[0], strings.ReplaceAll(path, "{id}", "1"), "{}")
		case strings.Contains(path, "{id}"):
			s.wantAs(t, acme, 404, op[0], strings.ReplaceAll(path, "{id}", ids[parts[2]]), "{}")
		case op[0] == http.MethodGet:
			if m := s.wantAs(t, acme, 200, op[0], path, "").json(t); len(m["items"].([]any)) != 0 {
				t.Errorf("GET %s shows %v", path, m)
			}
		}
	}
	body := `{"targetId": ` + target + `, "filterId": ` + filter + `}`
	if got := s.wantAs(t, acme, 422, "POST", "/webhooks/subscriptions", body).fields(t); got != "targetId filterId" {
		t.Errorf("foreign ids are named as %q", got)
	}
	s.want(t, 200, "GET", "/webhooks/targets/"+target, "")
}

func TestADeletedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made := s.want(t, 201, "POST", "/tenants/acme/keys", `{"name": "x"}`)
	key := made.json(t)["key"].(string)
	s.wantAs(t, key, 200, "GET", "/webhooks/targets", "")
	list := s.want(t, 200, "GET", "/tenants/acme/keys", "")
	if strings.Contains(string(list.body), key) {
		t.Error("the list shows the key")
	}
	s.want(t, 404, "DELETE", "/tenants/other/keys/"+made.id(t), "")
	s.want(t, 204, "DELETE", "/tenants/acme/keys/"+made.id(t), "")
	s.wantAs(t, key, 401, "GET", "/webhooks/targets", "")
	s.wantAs(t, "", 404, "GET", "/nothing/here", "")
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *api.Options) { o.BasePath = "/hooks/" })
	made := s.want(t, 201, "POST", "/hooks/webhooks/targets", publicURL)
	if location := made.header.Get("Location"); location != "/hooks/webhooks/targets/"+made.id(t) {
		t.Errorf("location %s", location)
	}
	s.want(t, 404, "GET", "/webhooks/targets", "")
	s.wantAs(t, "", 200, "GET", "/hooks/openapi.json", "")
}
