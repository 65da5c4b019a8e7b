package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// httpClient speaks to the server under test.
var httpClient = &http.Client{
	Timeout:   Patience,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call makes a request. A body that is no []byte and not nil is sent as JSON. Headers are "Name: value".
func (s *Server) Call(ctx context.Context, method, path string, body any, headers ...string) (Answer, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		payload = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		payload = bytes.NewReader(encoded)
	}
	url := s.URL
	if s.Next != nil {
		url = s.Next()
	}
	req, err := http.NewRequestWithContext(ctx, method, url+path, payload)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	if s.Tenant != "" {
		req.Header.Set("Postrider-Tenant", s.Tenant)
	}
	if _, raw := body.([]byte); !raw && body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Authorization" {
			req.Header.Del("Postrider-Tenant") // another key is another tenant's
		}
		req.Header.Set(name, value)
		if value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: got}, err
}

// Do is Call that must succeed with a status; it decodes the answer into out, if that is not nil.
func (s *Server) Do(t *testing.T, want int, method, path string, body, out any, headers ...string) Answer {
	t.Helper()
	a, err := s.Call(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.Status != want {
		t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.Status, want, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal(a.Body, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	return a
}

// Target is a target as the API shows it.
type Target struct {
	ID          int64  `json:"id"`
	URL         string `json:"url"`
	State       string `json:"state"`
	StateReason string `json:"stateReason"`
	Secret      string `json:"secret"`
}

// Entity is a filter or a subscription, of which only the id matters.
type Entity struct {
	ID int64 `json:"id"`
}

// Target registers a target that may be private.
func (s *Server) Target(t *testing.T, url string, headers ...string) Target {
	t.Helper()
	return s.TargetWith(t, map[string]any{"url": url, "allowPrivate": true}, headers...)
}

// TargetWith registers a target with fields.
func (s *Server) TargetWith(t *testing.T, fields map[string]any, headers ...string) Target {
	t.Helper()
	var target Target
	s.Do(t, http.StatusCreated, http.MethodPost, "/webhooks/targets", fields, &target, headers...)
	return target
}

// Subscribe makes a filter of event patterns and binds a target to it. It returns the subscription's id.
func (s *Server) Subscribe(t *testing.T, target int64, events []string, headers ...string) int64 {
	t.Helper()
	var filter, sub Entity
	s.Do(t, http.StatusCreated, http.MethodPost, "/webhooks/filters", map[string]any{"events": events}, &filter, headers...)
	s.Do(t, http.StatusCreated, http.MethodPost, "/webhooks/subscriptions", map[string]any{"targetId": target, "filterId": filter.ID}, &sub, headers...)
	s.Settle(t)
	return sub.ID
}

// Settle waits until all processes have heard of the changes made so far. In one process they have at once.
func (s *Server) Settle(t *testing.T) {
	t.Helper()
	if s.Settled != nil {
		s.Settled(t)
	}
}

// As is the same server with its API used for a tenant. settled is called where Settle is.
func (s *Server) As(tenant string, settled func(*testing.T)) *Server {
	other := *s
	other.Tenant, other.Settled = tenant, settled
	return &other
}

// Publish publishes an event and returns its id.
func (s *Server) Publish(t *testing.T, eventType string, payload []byte, headers ...string) string {
	t.Helper()
	var answer struct{ ID string }
	s.Do(t, http.StatusAccepted, http.MethodPost, "/webhooks/events", payload, &answer, append([]string{"Postrider-Event-Type: " + eventType}, headers...)...)
	return answer.ID
}

// Delivery is a delivery as the API shows it.
type Delivery struct {
	ID            string     `json:"id"`
	EventID       string     `json:"eventId"`
	EventType     string     `json:"eventType"`
	TargetID      int64      `json:"targetId"`
	State         string     `json:"state"`
	Reason        string     `json:"reason"`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	CreatedAt     time.Time  `json:"createdAt"`
}

// Attempt is an attempt as the API shows it.
type Attempt struct {
	Number     int    `json:"number"`
	DurationMs int64  `json:"durationMs"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	Class      string `json:"class"`
	Response   string `json:"response"`
}

// Attempts lists the attempts of a delivery.
func (s *Server) Attempts(t *testing.T, delivery string, headers ...string) []Attempt {
	t.Helper()
	var list struct{ Items []Attempt }
	s.Do(t, http.StatusOK, http.MethodGet, "/webhooks/deliveries/"+delivery+"/attempts", nil, &list, headers...)
	return list.Items
}

// Final reports whether nothing follows.
func (d Delivery) Final() bool {
	return d.State == "delivered" || d.State == "exhausted" || d.State == "cancelled"
}

// Deliveries lists all deliveries that a query selects.
func (s *Server) Deliveries(t *testing.T, query string, headers ...string) []Delivery {
	t.Helper()
	var all []Delivery
	after := ""
	for {
		var page struct {
			Items []Delivery
			Next  string
		}
		s.Do(t, http.StatusOK, http.MethodGet, "/webhooks/deliveries?limit=200&"+query+after, nil, &page, headers...)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		after = "&after=" + page.Next
	}
}

// AwaitDeliveries lists deliveries until they are as wanted, and returns them.
func (s *Server) AwaitDeliveries(t *testing.T, query string, wanted func([]Delivery) bool, headers ...string) []Delivery {
	t.Helper()
	var got []Delivery
	Await(t, func() string {
		got = s.Deliveries(t, query, headers...)
		if wanted(got) {
			return ""
		}
		return fmt.Sprintf("deliveries are %+v", got[:min(len(got), 20)])
	})
	return got
}

// AwaitState waits until the one delivery of an event to a target is in a state.
func (s *Server) AwaitState(t *testing.T, event string, target int64, state string, headers ...string) Delivery {
	t.Helper()
	got := s.AwaitDeliveries(t, "eventId="+event+"&targetId="+strconv.FormatInt(target, 10), func(d []Delivery) bool {
		return len(d) == 1 && d[0].State == state
	}, headers...)
	return got[0]
}

// Await asks again and again until check returns "", and fails with its last answer when it never does. The API shows
// what is archived with a delay, so its readers ask again.
func Await(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := check()
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it does not come about: %s", last)
		}
	}
}

// Metric is the value of one series, given as it is exported, without blanks; 0 if it is not there.
func (s *Server) Metric(t *testing.T, series string) float64 {
	t.Helper()
	a := s.Do(t, http.StatusOK, http.MethodGet, "/metrics", nil, nil)
	for line := range strings.Lines(string(a.Body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == series {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return 0
}
