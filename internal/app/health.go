package app

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/internal/config"
)

// Parts that readiness names besides the seams.
const (
	partProcess = "process"
	partCache   = "cache"
)

// need is what a role cannot work without, and what it only works worse without.
type need struct{ must, may []string }

// needs tells of each role what it needs of the parts. Delivery goes on without the database (3.5) and without the outcome
// log (3.6); a payload store or log that is away defers what refers to it and nothing else.
var needs = map[config.Role]need{
	config.RoleAPI: {must: []string{string(config.SeamDatabase), string(config.SeamEvents)},
		may: []string{string(config.SeamQueue), string(config.SeamPayloads), string(config.SeamOutcomes)}},
	config.RoleConsumer: {must: []string{partCache, string(config.SeamEvents), string(config.SeamQueue)},
		may: []string{string(config.SeamPayloads), string(config.SeamOutcomes), string(config.SeamDatabase)}},
	config.RoleDispatcher: {must: []string{partCache, string(config.SeamQueue)},
		may: []string{string(config.SeamEvents), string(config.SeamPayloads), string(config.SeamOutcomes), string(config.SeamDatabase)}},
	config.RoleRetry: {must: []string{string(config.SeamQueue)}},
	config.RoleArchiver: {must: []string{string(config.SeamOutcomes), string(config.SeamDatabase)},
		may: []string{string(config.SeamQueue), string(config.SeamPayloads)}},
}

// health tells whether the process lives, and whether its roles are ready for work. What is missing is named.
type health struct {
	roles []config.Role

	mu   sync.Mutex
	away map[string]string // by part: what it waits for
}

func newHealth(roles []config.Role) *health {
	return &health{roles: roles, away: map[string]string{}}
}

// gauge shows readiness as a metric.
func (h *health) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postrider_ready", Help: "1 while /readyz answers 200, else 0."}, func() float64 {
		if h.readiness().Ready {
			return 1
		}
		return 0
	})
}

// set says what a part waits for; "" means that it is there.
func (h *health) set(part, waits string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if waits == "" {
		delete(h.away, part)
		return
	}
	h.away[part] = waits
}

// roleHealth is what /readyz says of a role.
type roleHealth struct {
	Ready   bool     `json:"ready"`
	Missing []string `json:"missing,omitempty"` // parts, see Missing of the answer
}

// readiness is the body of /readyz: a problem document (RFC 9457) with members of its own while something is missing.
type readiness struct {
	Title    string                     `json:"title,omitempty"`
	Status   int                        `json:"status"`
	Detail   string                     `json:"detail,omitempty"`
	Ready    bool                       `json:"ready"`
	Missing  map[string]string          `json:"missing,omitempty"`  // by part: why it is not there; some role cannot work
	Impaired map[string]string          `json:"impaired,omitempty"` // by part: why it is not there; all roles work on
	Roles    map[config.Role]roleHealth `json:"roles"`
}

// readiness is how things stand.
func (h *health) readiness() readiness {
	h.mu.Lock()
	away := maps.Clone(h.away)
	h.mu.Unlock()
	answer := readiness{Status: http.StatusOK, Missing: map[string]string{}, Impaired: map[string]string{}, Roles: map[config.Role]roleHealth{}}
	for _, role := range h.roles {
		var missing []string
		for _, part := range append([]string{partProcess}, needs[role].must...) {
			if why, ok := away[part]; ok {
				missing = append(missing, part)
				answer.Missing[part] = why
			}
		}
		answer.Roles[role] = roleHealth{Ready: len(missing) == 0, Missing: missing}
	}
	for _, role := range h.roles {
		for _, part := range needs[role].may {
			if why, ok := away[part]; ok && answer.Missing[part] == "" {
				answer.Impaired[part] = why
			}
		}
	}
	answer.Ready = len(answer.Missing) == 0
	if !answer.Ready {
		answer.Status, answer.Title = http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable)
		answer.Detail = "not ready, for lack of: " + strings.Join(slices.Sorted(maps.Keys(answer.Missing)), ", ")
	}
	return answer
}

// live answers 200 as long as the process can answer at all.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// ready answers 200 when no role lacks what it cannot work without, else 503.
func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	answer := h.readiness()
	contentType := "application/json"
	if !answer.Ready {
		contentType = "application/problem+json"
	}
	writeJSON(w, answer.Status, contentType, answer)
}
