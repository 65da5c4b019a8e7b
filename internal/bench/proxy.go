package bench

import (
	"bytes"
	"io"
	"net/http"
)

// proxy is the bare loop: it POSTs each event on to the sink and answers when the sink has. It stores, matches and signs
// nothing.
type proxy struct {
	sink   string // URL of the target
	client *http.Client
}

// ServeHTTP passes one event on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	out, err := http.NewRequestWithContext(r.Context(), http.MethodPost, p.sink, bytes.NewReader(body))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("webhook-id", r.Header.Get(headerID))
	answer, err := p.client.Do(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body) // the status has come
	w.WriteHeader(http.StatusAccepted)
}

// newHTTP makes a client that keeps a connection for each of many requests at a time, and asks no proxy.
func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true}}
}
