package disk

import (
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestUpgrade opens the data folder of every release that is kept: what it held is there, and what waited is sent.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no folder of a release is kept: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			data, was := unpack(t, folder)
			idle := harness.Start(t, data, "--roles", "api") // looks without sending
			same(t, was, look(t, idle))
			if a, err := idle.Call(t.Context(), http.MethodGet, "/webhooks/targets", nil, "Authorization: Bearer "+was.TenantKey); err != nil || a.Status != http.StatusOK {
				t.Errorf("the tenant's key: %d, %v", a.Status, err)
			}
			r := harness.NewReceiver(t, nil)
			for _, target := range was.Targets {
				idle.Do(t, http.StatusOK, http.MethodPatch, fmt.Sprintf("/webhooks/targets/%.0f", target["id"]), map[string]string{"url": r.URL}, nil)
			}
			idle.StopCleanly(t)
			s := harness.Start(t, data, settings...)
			messages := r.Await(t, "what was never attempted", func(m []harness.Message) bool {
				ids := make([]string, 0, len(was.Waiting))
				for id := range was.Waiting {
					ids = append(ids, id)
				}
				return arrivedAll(m, ids)
			})
			for _, m := range messages {
				if size, ok := was.Waiting[m.ID]; ok && (m.Size != int64(size) || m.Header.Get("X-Own") != "1") {
					t.Errorf("%s: %d bytes of %d, headers %v", m.ID, m.Size, size, m.Header)
				}
			}
			s.AwaitDeliveries(t, "", func(list []harness.Delivery) bool { // those whose window has ended meanwhile are given up
				for _, d := range list {
					if !d.Final() && d.EventType == "release.waits" {
						return false
					}
				}
				return len(list) == len(was.Deliveries)
			})
			s.StopCleanly(t)
			if report, sound := check(t, data); !sound {
				t.Error(report.Faults)
			}
		})
	}
}

// same holds that every field that was shown is shown as it was. Further fields may have come.
func same(t *testing.T, was, is *contents) {
	t.Helper()
	for name, pair := range map[string][2][]map[string]any{"targets": {was.Targets, is.Targets}, "filters": {was.Filters, is.Filters},
		"subscriptions": {was.Subscriptions, is.Subscriptions}, "deliveries": {was.Deliveries, is.Deliveries}} {
		sameList(t, name, pair[0], pair[1])
	}
	for id, attempts := range was.Attempts {
		sameList(t, "attempts of "+id, attempts, is.Attempts[id])
	}
	for id, event := range was.Events {
		sameList(t, "event", []map[string]any{event}, []map[string]any{is.Events[id]})
	}
}

func sameList(t *testing.T, what string, was, is []map[string]any) {
	t.Helper()
	if len(was) != len(is) {
		t.Errorf("%s: %d, were %d", what, len(is), len(was))
		return
	}
	for i := range was {
		for field, value := range was[i] {
			if !reflect.DeepEqual(value, is[i][field]) {
				t.Errorf("%s: %s is %v, was %v", what, field, is[i][field], value)
			}
		}
	}
}

// TestEverySchemaIsKept has a folder of each schema that a version has written. The first is 2: nothing ever wrote 1 alone.
func TestEverySchemaIsKept(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int]bool{}
	for _, folder := range folders {
		data, _ := unpack(t, folder)
		kept[pragma(t, data, "user_version")] = true
	}
	data := t.TempDir()
	harness.Start(t, data, settings...).StopCleanly(t)
	for schema := 2; schema <= pragma(t, data, "user_version"); schema++ {
		if !kept[schema] {
			t.Errorf("no folder of schema %d is kept: see TestMakeRelease", schema)
		}
	}
}
