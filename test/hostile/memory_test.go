package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// TestReceiversCostLittleMemory has 200 attempts in flight at once at receivers that send without end, or unpack to much: what is
// held of an answer is bounded, so the process does not grow by more than what 200 connections cost.
func TestReceiversCostLittleMemory(t *testing.T) {
	t.Parallel()
	const targets, each = 10, 20
	filler := strings.Repeat("x", 16<<10)
	deeds := []deed{
		flooding("HTTP/1.1 200 OK\r\n", "X-Filler: "+filler+"\r\n"),
		flooding("HTTP/1.1 200 ", filler),
		flooding("HTTP/1.1 200 OK\r\n\r\n", filler),
		flooding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", filler),
		answering(gzipped(bomb(256 << 20))),
	}
	ca := newAuthority(t)
	s := harness.Start(t, t.TempDir(), hostileSettings(ca.file(t))...)
	warm := harness.NewReceiver(t, nil)
	s.Subscribe(t, s.Target(t, warm.URL).ID, []string{"*"})
	for range targets * each { // what the process needs for any 200 events is no part of what is measured
		s.Publish(t, "hostile.warm", []byte("{}"))
	}
	warm.AwaitCount(t, targets*each)
	_, before := s.Memory()
	for i := range targets {
		target := s.Target(t, "http://"+raw(t, deeds[i%len(deeds)]))
		s.Subscribe(t, target.ID, []string{fmt.Sprintf("hostile.n%d", i)})
	}
	for i := range targets * each {
		s.Publish(t, fmt.Sprintf("hostile.n%d", i%targets), []byte("{}"))
	}
	s.AwaitDeliveries(t, "", func(d []harness.Delivery) bool {
		attempted := 0
		for _, one := range d {
			attempted += min(one.Attempts, 1)
		}
		return attempted == 3*targets*each // each event of the second half goes to the first receiver too
	})
	_, after := s.Memory()
	if after == 0 {
		t.Skip("this system does not tell the memory of a process")
	}
	t.Logf("peak %d MiB before, %d MiB after", before>>20, after>>20)
	if grown := after - before; grown > 64<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
	if a, err := s.Call(t.Context(), http.MethodGet, "/readyz", nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("ready? %d, %v", a.Status, err)
	}
}
