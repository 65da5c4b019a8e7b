package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/config"
)

// ask reads /readyz.
func ask(t *testing.T, h *health) (int, readiness) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ready(rec, nil)
	var answer readiness
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	return rec.Code, answer
}

func TestHealthNamesWhatIsMissingByRole(t *testing.T) {
	t.Parallel()
	h := newHealth([]config.Role{config.RoleAPI, config.RoleDispatcher})
	h.set("queue", "queue hooks does not answer")
	h.set("payloads", "bucket hooks does not answer")
	status, answer := ask(t, h)
	if status != http.StatusServiceUnavailable || answer.Ready || answer.Missing["queue"] != "queue hooks does not answer" {
		t.Errorf("%d %+v", status, answer)
	}
	if r := answer.Roles[config.RoleDispatcher]; r.Ready || len(r.Missing) != 1 || r.Missing[0] != "queue" {
		t.Errorf("dispatcher: %+v", r)
	}
	if !answer.Roles[config.RoleAPI].Ready {
		t.Error("the API needs no queue to take events")
	}
	if answer.Impaired["payloads"] == "" || answer.Impaired["queue"] != "" {
		t.Errorf("impaired: %v", answer.Impaired)
	}
	h.set("queue", "")
	if status, answer = ask(t, h); status != http.StatusOK || !answer.Ready {
		t.Errorf("%d %+v", status, answer)
	}
}

// flaky is a Checker whose answer can be changed.
type flaky struct{ err atomic.Pointer[error] }

func (f *flaky) Check(context.Context) error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *flaky) set(err error) { f.err.Store(&err) }

func TestMonitorFollowsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newApp(Options{Config: &config.Config{Roles: []config.Role{config.RoleRetry}}, Logger: slog.New(slog.DiscardHandler)})
		a.health.set(partProcess, "")
		m := newMonitor(a)
		ctx, cancel := context.WithCancel(t.Context())
		queue := &flaky{}
		go m.watch(ctx, "queue", queue)
		synctest.Wait() // the first answer was good
		queue.set(postrider.Errorf(postrider.CodeUnavailable, "queue hooks does not answer: %w", errors.New("secret 10.0.0.1")))
		time.Sleep(checkEvery + time.Millisecond)
		if status, _ := ask(t, a.health); status != http.StatusOK {
			t.Error("one failure alone counts as an outage")
		}
		time.Sleep(checkAgain)
		status, answer := ask(t, a.health)
		if status != http.StatusServiceUnavailable || answer.Missing["queue"] != "queue hooks does not answer" {
			t.Errorf("%d %+v", status, answer)
		}
		queue.set(nil)
		time.Sleep(checkAgain)
		if status, answer := ask(t, a.health); status != http.StatusOK {
			t.Errorf("it is back, and: %d %+v", status, answer)
		}
		cancel()
		synctest.Wait()
	})
}

// TestAwaitWaitsForWhatIsAway opens something that is away twice: metrics are registered by each try, and the one that
// counts stays registered.
func TestAwaitWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newApp(Options{Config: &config.Config{}, Logger: slog.New(slog.DiscardHandler)})
		tries := 0
		err := a.await(t.Context(), "queue", func(_ context.Context, r prometheus.Registerer) error {
			r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total"}))
			if tries++; tries < 3 {
				return postrider.Errorf(postrider.CodeUnavailable, "it is away")
			}
			return nil
		})
		if err != nil || tries != 3 {
			t.Errorf("%d tries: %v", tries, err)
		}
		wrong := postrider.Errorf(postrider.CodeForbidden, "sqs:CreateQueue is not allowed")
		if err := a.await(t.Context(), "queue", func(context.Context, prometheus.Registerer) error { return wrong }); !errors.Is(err, wrong) {
			t.Errorf("what is refused was waited for: %v", err)
		}
	})
}

// TestStartBeforeTheQueue starts a process whose queue is not there. It answers, says what it waits for, and stops cleanly.
func TestStartBeforeTheQueue(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	r := launch(t, "--queue", "sqs://hooks?region=eu-west-1&endpoint=http://127.0.0.1:1")
	answer := readiness{}
	for answer.Missing["queue"] == "" || strings.Contains(answer.Missing["queue"], "yet") {
		status, body := r.get(t, "/readyz")
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", status, body)
		}
	}
	if status, body := r.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := r.get(t, "/webhooks/targets"); status != http.StatusServiceUnavailable || !strings.Contains(body, "starting") {
		t.Errorf("the API: %d %s", status, body)
	}
	if answer.Roles[config.RoleRetry].Ready || strings.Contains(answer.Missing["queue"], "127.0.0.1") {
		t.Errorf("readiness: %+v", answer)
	}
	r.stop(t)
}
