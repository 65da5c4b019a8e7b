package app

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// health tells whether the process lives, and whether it is ready for work. What is missing is named.
type health struct {
	mu      sync.Mutex
	missing map[string]string // by part: what it waits for
}

func newHealth() *health { return &health{missing: map[string]string{}} }

// gauge shows readiness as a metric.
func (h *health) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postrider_ready", Help: "1 while /readyz answers 200, else 0."}, func() float64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.missing) > 0 {
			return 0
		}
		return 1
	})
}

// set says what a part waits for; "" means that it is ready.
func (h *health) set(part, waits string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if waits == "" {
		delete(h.missing, part)
		return
	}
	h.missing[part] = waits
}

// healthAnswer is the body of /healthz and /readyz.
type healthAnswer struct {
	Status  string            `json:"status"`
	Missing map[string]string `json:"missing,omitempty"`
}

// live answers 200 as long as the process can answer at all.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", healthAnswer{Status: "ok"})
}

// ready answers 200 when nothing is missing, else 503.
func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	answer := healthAnswer{Status: "ready", Missing: map[string]string{}}
	for part, waits := range h.missing {
		answer.Missing[part] = waits
	}
	h.mu.Unlock()
	status := http.StatusOK
	if len(answer.Missing) > 0 {
		status, answer.Status = http.StatusServiceUnavailable, "not ready"
	}
	writeJSON(w, status, "application/json", answer)
}

// problem is an RFC 9457 problem document.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	writeJSON(w, status, "application/problem+json", problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// onlyGet lets GET and HEAD through.
func onlyGet(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method) {
			w.Header().Set("Allow", "GET, HEAD")
			writeProblem(w, http.StatusMethodNotAllowed, "use GET")
			return
		}
		next(w, r)
	})
}
