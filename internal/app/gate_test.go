package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGateLetsThoseInsideEnd(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	g := newGate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		w.WriteHeader(http.StatusAccepted)
	}))
	inside := httptest.NewRecorder()
	left := make(chan struct{})
	go func() {
		defer close(left)
		g.ServeHTTP(inside, httptest.NewRequest(http.MethodPost, "/", nil))
	}()
	<-entered
	g.close()

	late := httptest.NewRecorder()
	g.ServeHTTP(late, httptest.NewRequest(http.MethodPost, "/", nil))
	if late.Code != http.StatusServiceUnavailable || late.Header().Get("Retry-After") == "" || late.Header().Get("Connection") != "close" {
		t.Errorf("a late request: %d %v", late.Code, late.Header())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the gate is not empty, yet wait returns %v", err)
	}
	close(release)
	if err := g.wait(t.Context()); err != nil {
		t.Error(err)
	}
	<-left
	if inside.Code != http.StatusAccepted {
		t.Errorf("the request inside ended with %d", inside.Code)
	}
}

func TestGateThatIsEmpty(t *testing.T) {
	t.Parallel()
	g := newGate(http.NotFoundHandler())
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	g.close()
	if err := g.wait(t.Context()); err != nil {
		t.Error(err)
	}
}
