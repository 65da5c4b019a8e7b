package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTargetLifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made := s.want(t, 201, "POST", "/webhooks/targets", `{"url": "https://example.com/a", "name": "orders", "headers": {"X-Token": "hush"},
		"retry": {"base": "1s", "max": "1m0s"}, "maxInFlight": 3}`)
	m := made.json(t)
	if !strings.HasPrefix(m["secret"].(string), "whsec_") || m["state"] != "on" || m["createdAt"] != m["updatedAt"] {
		t.Errorf("made %v", m)
	}
	path := "/webhooks/targets/" + made.id(t)
	if made.header.Get("Location") != path || made.header.Get("ETag") == "" {
		t.Errorf("headers %v", made.header)
	}
	got := s.want(t, 200, "GET", path, "")
	if strings.Contains(string(got.body), "hush") || strings.Contains(string(got.body), "whsec_") {
		t.Errorf("a secret is shown: %s", got.body)
	}
	if g := got.json(t); fmt.Sprint(g["headers"]) != "map[X-Token:***]" || fmt.Sprint(g["retry"]) != "map[base:1s max:1m0s]" || g["maxInFlight"] != 3.0 {
		t.Errorf("got %v", g)
	}
	patched := s.want(t, 200, "PATCH", path, `{"name": null, "headers": {"X-Token": "***", "X-New": "y"}, "retry": {"base": null}, "url": "https://example.com/b"}`,
		"Content-Type: application/merge-patch+json", "If-Match: "+got.header.Get("ETag"))
	p := patched.json(t)
	if _, there := p["name"]; there || p["url"] != "https://example.com/b" || fmt.Sprint(p["headers"]) != "map[X-New:*** X-Token:***]" || fmt.Sprint(p["retry"]) != "map[max:1m0s]" {
		t.Errorf("patched %v", p)
	}
	s.want(t, 412, "PATCH", path, `{"name": "x"}`, "If-Match: "+got.header.Get("ETag"))
	s.want(t, 412, "PATCH", path, `{"name": "x"}`, `If-Match: "nonsense"`)
	s.want(t, 412, "PATCH", path, `{"name": "x"}`, `If-Match: "a", "999999", "999998"`)
	s.want(t, 412, "PATCH", path, `{"name": "x"}`, `If-Match: W/`+patched.header.Get("ETag"))
	s.want(t, 412, "DELETE", path, "", `If-Match: "999999", W/`+patched.header.Get("ETag"))
	s.want(t, 200, "PATCH", path, `{"name": "y"}`, `If-Match: "a", "999999" , `+patched.header.Get("ETag"))
	s.want(t, 200, "PATCH", path, `{"name": "x"}`, "If-Match: *")
	same := s.want(t, 200, "PATCH", path, string(s.want(t, 200, "GET", path, "").body)) // what was read may be sent back
	if same.header.Get("ETag") != s.want(t, 200, "GET", path, "").header.Get("ETag") {
		t.Error("what changes nothing took a version")
	}
	for _, action := range []string{"/secrets", "/enable"} {
		s.want(t, 400, "POST", path+action, "{")
		s.want(t, 422, "POST", path+action, `{"secret": "whsec_aa"}`)
	}
	s.want(t, 200, "PATCH", path, `{"retry": {"window": "7d"}}`)
	rotated := s.want(t, 201, "POST", path+"/secrets", "")
	if secret := rotated.json(t)["secret"]; secret == m["secret"] || !strings.HasPrefix(secret.(string), "whsec_") {
		t.Errorf("rotated %v", secret)
	}
	if head := s.do(t, adminKey, "HEAD", path, ""); head.status != 200 || len(head.body) != 0 {
		t.Errorf("HEAD: %d", head.status)
	}
	for _, query := range []string{"?cascade=true", "?limit=1"} {
		s.want(t, 422, "GET", path+query, "")
	}
	s.want(t, 422, "DELETE", path+"?cascade=true&cascade=false", "")
	s.want(t, 422, "GET", "/webhooks/targets?limit=1&limit=2", "")
	s.want(t, 204, "DELETE", path, "")
	s.want(t, 404, "GET", path, "")
	s.want(t, 404, "DELETE", path, "")
}

func TestTargetFaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for body, fields := range map[string]string{
		`{}`:                                            "url",
		`{"url": null}`:                                 "url",
		`{"url": "ftp://example.com"}`:                  "url",
		`{"url": "http://u:p@example.com"}`:             "url",
		`{"url": "https://example.com/#x"}`:             "url",
		`{"url": "http://127.0.0.1/"}`:                  "url",
		`{"url": "http://[::ffff:10.0.0.1]/"}`:          "url",
		`{"url": "http://2130706433/"}`:                 "url",
		`{"url": "http://169.254.169.254/latest"}`:      "url",
		`{"url": "https://example.com", "colour": 1}`:   "colour",
		`{"url": "https://example.com", "id": 5}`:       "id",
		`{"url": "https://example.com", "state": "on"}`: "state",
		`{"url": "https://example.com", "maxInFlight": 0, "retry": {"base": 5, "max": "0s", "x": 1}, "headers": {"Host": "x"}, "name": 7}`: "maxInFlight name retry.base retry.max retry.x headers.Host",
		`{"url": "https://example.com", "retry": {"window": "169h"}}`:                                                                      "retry.window",
		`{"url": "https://a.example", "url": "https://b.example"}`:                                                                         "url",
	} {
		if got := s.want(t, 422, "POST", "/webhooks/targets", body).fields(t); got != fields {
			t.Errorf("%s names %q, want %q", body, got, fields)
		}
	}
	for body, status := range map[string]int{"": 400, "{": 400, "nonsense": 400, `{"url": "https://example.com"} x`: 400, "\xff": 400, "[]": 422, `"x"`: 422, "7": 422} {
		s.want(t, status, "POST", "/webhooks/targets", body)
	}
	s.want(t, 415, "POST", "/webhooks/targets", publicURL, "Content-Type: text/xml")
	s.want(t, 413, "POST", "/webhooks/targets", `{"url": "`+strings.Repeat("x", 2<<20)+`"}`)
	s.want(t, 201, "POST", "/webhooks/targets", `{"url": "http://10.9.1.2/"}`) // the operator allows it
}

func TestAllowPrivateIsTheAdmins(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	acme := s.key(t, "acme")
	s.wantAs(t, acme, 403, "POST", "/webhooks/targets", `{"url": "http://127.0.0.1:1/", "allowPrivate": true}`)
	id := s.want(t, 201, "POST", "/webhooks/targets", `{"url": "http://127.0.0.1:1/", "allowPrivate": true}`, "Postrider-Tenant: acme").id(t)
	s.wantAs(t, acme, 403, "PATCH", "/webhooks/targets/"+id, `{"url": "http://127.0.0.1:2/"}`)
	s.wantAs(t, acme, 403, "PATCH", "/webhooks/targets/"+id, `{"allowPrivate": false}`)
	s.wantAs(t, acme, 200, "PATCH", "/webhooks/targets/"+id, `{"name": "mine", "allowPrivate": true}`)
	s.want(t, 422, "PATCH", "/webhooks/targets/"+id, `{"allowPrivate": null}`, "Postrider-Tenant: acme")
	s.want(t, 200, "PATCH", "/webhooks/targets/"+id, `{"allowPrivate": null, "url": "https://example.com/"}`, "Postrider-Tenant: acme")
}

func TestFilterAndSubscription(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	target, filter, subscription := s.entities(t, adminKey)
	for body, fields := range map[string]string{`{}`: "events", `{"events": []}`: "events", `{"events": null}`: "events", `{"events": ["a..b", "*", "*"]}`: "events[0] events[2]",
		`{"events": "a"}`: "events", `{"events": ["a"], "name": "x"}`: "name"} {
		if got := s.want(t, 422, "POST", "/webhooks/filters", body).fields(t); got != fields {
			t.Errorf("%s names %q, want %q", body, got, fields)
		}
	}
	for body, fields := range map[string]string{`{}`: "targetId filterId", `{"targetId": 1, "filterId": 2}`: "targetId filterId", `{"targetId": ` + target + `, "filterId": "x"}`: "filterId",
		`{"targetId": ` + target + `, "filterId": ` + filter + `, "active": "yes"}`: "active"} {
		if got := s.want(t, 422, "POST", "/webhooks/subscriptions", body).fields(t); got != fields {
			t.Errorf("%s names %q, want %q", body, got, fields)
		}
	}
	path := "/webhooks/subscriptions/" + subscription
	if m := s.want(t, 200, "GET", path, "").json(t); m["active"] != true {
		t.Errorf("got %v", m)
	}
	if m := s.want(t, 200, "PATCH", path, `{"active": false}`).json(t); m["active"] != false {
		t.Errorf("patched %v", m)
	}
	if refs, _ := s.cache.Match("default", "core.a", nil); len(refs) != 0 {
		t.Error("the answer came before the cache had the change")
	}
	s.want(t, 409, "DELETE", "/webhooks/targets/"+target, "")
	s.want(t, 409, "DELETE", "/webhooks/filters/"+filter+"?cascade=false", "")
	s.want(t, 422, "DELETE", "/webhooks/filters/"+filter+"?cascade=maybe", "")
	s.want(t, 204, "DELETE", "/webhooks/targets/"+target+"?cascade=true", "")
	s.want(t, 404, "GET", path, "")
	s.want(t, 204, "DELETE", "/webhooks/filters/"+filter, "")
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var want []string
	for range 5 {
		want = append(want, s.want(t, 201, "POST", "/webhooks/filters", `{"events": ["a"]}`).id(t))
	}
	var got []string
	next := ""
	for {
		m := s.want(t, 200, "GET", "/webhooks/filters?limit=2&after="+next, "").json(t)
		for _, item := range m["items"].([]any) {
			got = append(got, fmt.Sprintf("%.0f", item.(map[string]any)["id"]))
		}
		if m["next"] == nil {
			break
		}
		next = m["next"].(string)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for query, fields := range map[string]string{"limit=0": "limit", "limit=201": "limit", "limit=x": "limit", "after=!": "after", "colour=red": "colour"} {
		if got := s.want(t, 422, "GET", "/webhooks/filters?"+query, "").fields(t); got != fields {
			t.Errorf("%s names %q, want %q", query, got, fields)
		}
	}
	if m := s.want(t, 200, "GET", "/webhooks/targets", "").json(t); fmt.Sprint(m) != "map[items:[]]" {
		t.Errorf("an empty list is %v", m)
	}
}

// TestEveryFaultIsNamed: members that only the server gives, unknown ones and faulty values are all named in one answer.
func TestEveryFaultIsNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ path, body, fields string }{
		{"targets", `{"url": "ftp://a", "id": 5, "createdAt": "x", "state": "off", "maxInFlight": 0, "x": 1}`, "createdAt id maxInFlight state url x"},
		{"targets", `{"updatedAt": "x"}`, "updatedAt url"},
		{"targets", `{"url": "http://10.0.0.1/", "x": 1}`, "url x"},
		{"filters", `{"events": ["a..b", "a"], "id": 3, "x": 1}`, "events[0] id x"},
		{"filters", `{"events": ["a..b", 1], "x": 1}`, "events x"},
		{"subscriptions", `{"targetId": 1, "filterId": "2", "id": 3, "x": 1}`, "filterId id x"},
	} {
		var fields []string
		for _, f := range s.want(t, 422, "POST", "/webhooks/"+c.path, c.body).json(t)["errors"].([]any) {
			fields = append(fields, f.(map[string]any)["field"].(string))
		}
		slices.Sort(fields)
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%s: %s: named are %q, not %q", c.path, c.body, got, c.fields)
		}
	}
}
