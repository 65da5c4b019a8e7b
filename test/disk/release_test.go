package disk

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// makeRelease has TestMakeRelease write a data folder of this version to testdata, for the tests of those to come:
//
//	go test ./test/disk -run TestMakeRelease -make v1.2.3
var makeRelease = flag.String("make", "", "write a data folder of this version to testdata/NAME")

// contents is what a folder held when it was made, as the API showed it.
type contents struct {
	Targets       []map[string]any
	Filters       []map[string]any
	Subscriptions []map[string]any
	Deliveries    []map[string]any
	Attempts      map[string][]map[string]any // by delivery
	Events        map[string]map[string]any   // by id
	Waiting       map[string]int              // events that were never attempted, and the size of their payloads
	TenantKey     string                      // of the tenant "acme"
}

const acme = "Postrider-Tenant: acme"

func items(t *testing.T, s *harness.Server, path string, headers ...string) []map[string]any {
	t.Helper()
	var list struct{ Items []map[string]any }
	s.Do(t, http.StatusOK, http.MethodGet, path, nil, &list, headers...)
	return list.Items
}

// look reads what the API shows of the default tenant.
func look(t *testing.T, s *harness.Server) *contents {
	t.Helper()
	c := &contents{Attempts: map[string][]map[string]any{}, Events: map[string]map[string]any{}}
	c.Targets, c.Filters = items(t, s, "/webhooks/targets"), items(t, s, "/webhooks/filters")
	c.Subscriptions, c.Deliveries = items(t, s, "/webhooks/subscriptions"), items(t, s, "/webhooks/deliveries?limit=200")
	for _, d := range c.Deliveries {
		id, event := d["id"].(string), d["eventId"].(string)
		c.Attempts[id] = items(t, s, "/webhooks/deliveries/"+id+"/attempts")
		var shown map[string]any
		s.Do(t, http.StatusOK, http.MethodGet, "/webhooks/events/"+event, nil, &shown)
		delete(shown, "deliveries")
		c.Events[event] = shown
	}
	lookByTarget(t, s, c)
	return c
}

// lookByTarget holds that each target's deliveries are found by it.
func lookByTarget(t *testing.T, s *harness.Server, c *contents) {
	t.Helper()
	of := map[float64]int{}
	for _, d := range c.Deliveries {
		of[d["targetId"].(float64)]++
	}
	for target, want := range of {
		if got := len(items(t, s, fmt.Sprintf("/webhooks/deliveries?limit=200&targetId=%.0f", target))); got != want {
			t.Errorf("%d deliveries are found by their target %.0f, want %d", got, target, want)
		}
	}
}

// waitingBody is a payload that can be made again.
func waitingBody(size int) []byte { return []byte(strings.Repeat("w", size)) }

func TestMakeRelease(t *testing.T) {
	t.Parallel()
	if *makeRelease == "" {
		t.Skip("it is made by hand: -make NAME")
	}
	r := harness.NewReceiver(t, func(m *harness.Message, _ http.ResponseWriter) int {
		switch m.Type {
		case "release.fails":
			return http.StatusInternalServerError
		case "gone.a":
			return http.StatusGone
		}
		return http.StatusOK
	})
	data := t.TempDir()
	s := harness.Start(t, data, "--retry-base", "2h")
	good := s.TargetWith(t, map[string]any{"url": r.URL + "/good", "allowPrivate": true, "name": "good", "headers": map[string]string{"X-Own": "1"},
		"retry": map[string]any{"base": "1h", "max": "5h", "window": "168h"}, "maxInFlight": 7})
	gone := s.Target(t, r.URL+"/gone")
	s.Subscribe(t, good.ID, []string{"release.*"})
	s.Subscribe(t, gone.ID, []string{"gone.*"})
	other := s.Target(t, r.URL+"/acme", acme)
	s.Subscribe(t, other.ID, []string{"*"}, acme)
	var key struct{ Key string }
	s.Do(t, http.StatusCreated, http.MethodPost, "/tenants/acme/keys", map[string]string{"name": "release"}, &key)
	for _, kind := range []string{"release.ok", "release.fails", "gone.a", "unmatched"} {
		s.Publish(t, kind, []byte(`{"kind":"`+kind+`"}`))
	}
	s.Publish(t, "release.ok", waitingBody(300<<10))
	s.Publish(t, "release.ok", []byte("of acme"), acme)
	s.AwaitDeliveries(t, "", func(d []harness.Delivery) bool {
		attempted := 0
		for _, one := range d {
			attempted += min(one.Attempts, 1)
		}
		return len(d) == 4 && attempted == 4
	})
	s.StopCleanly(t)
	s = harness.Start(t, data, "--roles", "api,consumer") // nothing is sent
	waiting := map[string]int{}
	for _, size := range []int{10, 100 << 10, 300 << 10} {
		waiting[s.Publish(t, "release.waits", waitingBody(size))] = size
	}
	s.AwaitDeliveries(t, "state=pending", func(d []harness.Delivery) bool { return len(d) == len(waiting) })
	c := look(t, s)
	c.Waiting, c.TenantKey = waiting, key.Key
	s.StopCleanly(t)
	pack(t, data, filepath.Join("testdata", *makeRelease), c)
}

// pack writes a folder's file, packed, its keys and its contents.
func pack(t *testing.T, data, to string, c *contents) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin.key", "secret.key"} {
		copyFile(t, filepath.Join(data, name), filepath.Join(to, name))
	}
	whole := filepath.Join(t.TempDir(), "copy.db")
	if out, err := harness.Command(t.Context(), "backup", "--data", data, whole).CombinedOutput(); err != nil {
		t.Fatalf("backup: %v: %s", err, out)
	}
	in, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(to, "postrider.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z := gzip.NewWriter(out)
	if _, err := z.Write(in); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "contents.json"), append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unpack is the opposite of pack.
func unpack(t *testing.T, from string) (data string, c *contents) {
	t.Helper()
	data = t.TempDir()
	for _, name := range []string{"admin.key", "secret.key"} {
		copyFile(t, filepath.Join(from, name), filepath.Join(data, name))
	}
	in, err := os.Open(filepath.Join(from, "postrider.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "postrider.db"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from, "contents.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return data, c
}
