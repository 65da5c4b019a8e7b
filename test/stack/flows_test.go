package stack

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/test/flows"
	"github.com/postrider/postrider/test/harness"
)

// TestFlows repeats what holds on one machine on five processes, side by side, each flow as a tenant of its own.
func TestFlows(t *testing.T) {
	t.Parallel()
	runFlows(t, 1)
}

// TestFlowsOfTwo is TestFlows with two processes of each role. Requests go to the two of the API by turns.
func TestFlowsOfTwo(t *testing.T) {
	t.Parallel()
	runFlows(t, 2)
}

func runFlows(t *testing.T, ofEach int) {
	t.Helper()
	all := flows.All()
	for _, settings := range [][]string{flows.Fast, flows.ShortWindow} {
		f := newFleet(t, settings...)
		var apis []*harness.Server
		for range ofEach {
			apis = append(apis, f.startAll(t)["api"])
		}
		for name, flow := range all {
			if len(flow.Settings) > 0 && strings.Join(flow.Settings, " ") != strings.Join(settings, " ") {
				continue
			}
			delete(all, name)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := f.api().As(name, f.settle)
				s.Next = turns(apis)
				flow.Drive(t, s)
			})
		}
	}
}

// turns tells of some servers one after the other.
func turns(servers []*harness.Server) func() string {
	var n atomic.Int64
	return func() string { return servers[int(n.Add(1))%len(servers)].URL }
}

// settle waits until all processes that match or judge have heard of the changes made so far.
func (f *fleet) settle(t *testing.T) {
	t.Helper()
	mark := f.api().Do(t, http.StatusCreated, http.MethodPost, "/webhooks/filters", map[string]any{"events": []string{"settle.mark"}}, nil)
	version, err := strconv.ParseFloat(strings.Trim(mark.Header.Get("ETag"), `"`), 64)
	if err != nil {
		t.Fatalf("the ETag of a new filter is no version: %v", err)
	}
	for _, p := range f.caches() {
		harness.Await(t, func() string {
			if heard := p.Metric(t, "postrider_cache_version"); heard < version {
				return fmt.Sprintf("a process has heard of change %v, not yet of %v", heard, version)
			}
			return ""
		})
	}
}
