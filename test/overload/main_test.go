// Package overload gives the real binary more than it can take, and looks at those who did nothing: what they published is taken and
// arrives. Times are printed, as ratios within one run, and held where they are measured (harness.Measures).
package overload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// client keeps as many connections as a flood has publishers.
var client = &http.Client{Timeout: harness.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 4000}}

// publish publishes an event of a tenant.
func publish(ctx context.Context, s *harness.Server, tenant, kind, id string, body []byte) (status int, retryAfter string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/webhooks/events", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + s.Key, "Postrider-Tenant": tenant, "Postrider-Event-Type": kind, "Postrider-Event-Id": id} {
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("Retry-After"), err
}

// publishBatch publishes n small events of a tenant at once.
func publishBatch(ctx context.Context, s *harness.Server, tenant, kind string, n int) (status int, err error) {
	one := fmt.Sprintf(`{"eventType":%q,"payload":"x"}`, kind)
	body := "[" + strings.Repeat(one+",", n-1) + one + "]"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/webhooks/events/batch", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + s.Key, "Postrider-Tenant": tenant, "Content-Type": "application/json"} {
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// probe is a tenant that does nothing wrong: it publishes at an even pace to a target that answers at once.
type probe struct {
	s        *harness.Server
	receiver *harness.Receiver
	tenant   string
	sent     map[string]time.Time
}

func newProbe(t *testing.T, s *harness.Server, tenant string) *probe {
	t.Helper()
	p := &probe{s: s, receiver: harness.NewReceiver(t, nil), tenant: tenant, sent: map[string]time.Time{}}
	as := "Postrider-Tenant: " + tenant
	s.Subscribe(t, s.Target(t, p.receiver.URL, as).ID, []string{"probe.*"}, as)
	return p
}

// run publishes n events, waits until all have arrived, and returns the p99 of the time from publishing to receipt.
func (p *probe) run(t *testing.T, n int, every time.Duration) time.Duration {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var mu sync.Mutex
	var wg sync.WaitGroup
	mine := map[string]bool{}
	for range n {
		<-tick.C // an even pace, whatever the answers take
		id := fmt.Sprintf("%s-%d", p.tenant, len(p.sent))
		p.sent[id], mine[id] = time.Now(), true
		wg.Go(func() {
			status, _, err := publish(t.Context(), p.s, p.tenant, "probe.a", id, []byte("{}"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || status != http.StatusAccepted {
				t.Errorf("tenant %s: status %d, %v", p.tenant, status, err)
			}
		})
	}
	wg.Wait()
	var took []time.Duration
	p.receiver.Await(t, "what the tenant "+p.tenant+" published", func(messages []harness.Message) bool {
		took = took[:0]
		seen := map[string]bool{}
		for _, m := range messages {
			if mine[m.ID] && !seen[m.ID] {
				seen[m.ID] = true
				took = append(took, m.At.Sub(p.sent[m.ID]))
			}
		}
		return len(took) == n
	})
	slices.Sort(took)
	return took[n*99/100]
}
