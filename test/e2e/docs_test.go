package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/postrider/postrider/internal/stacktest"
	"github.com/postrider/postrider/test/harness"
)

// browser starts the Chromium that STACK_CHROMIUM names.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := stacktest.Need(t, "STACK_CHROMIUM", "the path of a Chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.WSURLReadTimeout(harness.Patience))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	return ctx
}

// watcher notes what a page asks for and what it complains of.
type watcher struct {
	mu                 sync.Mutex
	requests, troubles []string
}

func (w *watcher) note(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		w.requests = append(w.requests, ev.Request.URL)
	case *runtime.EventExceptionThrown:
		w.troubles = append(w.troubles, ev.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		w.troubles = append(w.troubles, ev.Entry.Text)
	}
}

func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	s := harness.Start(t, t.TempDir(), "--base-path", "/hooks")
	w := &watcher{}
	if err := chromedp.Listen(ctx, w.note); err != nil { // which starts the browser, and has it tell of network and log
		t.Fatal(err)
	}
	within, stop := context.WithTimeout(ctx, harness.Patience)
	defer stop()
	if err := chromedp.Do(within, chromedp.Navigate(s.URL+"/hooks/docs#create-target"), chromedp.WaitVisible(chromedp.CSS(`main[data-ready="true"]`))); err != nil {
		t.Fatal(err)
	}
	drawn := evaluate[int](within, t, `document.querySelectorAll('details').length`)
	sections := evaluate[[]string](within, t, `[...document.querySelectorAll('h2')].map(h => h.textContent)`)
	text := evaluate[string](within, t, `document.getElementById('create-target').innerText`) // it is open, since the address names it
	if want := operations(t, s.URL+"/hooks/openapi.json"); drawn != want || want < 20 {
		t.Errorf("%d operations are drawn, the document has %d", drawn, want)
	}
	if len(sections) < 6 || sections[0] != "Targets" {
		t.Errorf("sections %q", sections)
	}
	for _, part := range []string{"POST", "/hooks/webhooks/targets", "url *", "retry.window", "at most 2,048 characters", "Postrider-Tenant", "Answer 201: Target", "curl -X POST"} {
		if !strings.Contains(text, part) {
			t.Errorf("making a target does not show %q:\n%s", part, text)
		}
	}
	w.check(t, s.URL)
}

func evaluate[T any](ctx context.Context, t *testing.T, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (w *watcher) check(t *testing.T, origin string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.requests) < 2 {
		t.Errorf("only these requests were seen: %q", w.requests)
	}
	for _, r := range w.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme != "data" && !strings.HasPrefix(r, origin+"/") {
			t.Errorf("the page asks for %s", r)
		}
	}
	if len(w.troubles) > 0 {
		t.Errorf("the browser complains: %q", w.troubles)
	}
}

// operations counts those of an OpenAPI document.
func operations(t *testing.T, at string) int {
	t.Helper()
	resp, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, item := range doc.Paths {
		n += len(item)
	}
	return n
}
