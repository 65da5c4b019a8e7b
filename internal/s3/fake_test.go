package s3_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/s3"
)

// fake speaks as much of S3's protocol as the store does, and fails as it is told. What a real server does is tested on real ones.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	away    bool
	missing bool              // the bucket is made first
	deny    map[string]string // by operation: the error code
	rules   string            // lifecycle rules, as XML; "" are none
	objects map[string]*object
	calls   map[string]int
	put     string // the rules that were put
}

type object struct {
	body     []byte
	metadata string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, deny: map[string]string{}, objects: map[string]*object{}, calls: map[string]int{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) open() (*s3.Store, error) {
	return s3.Open(f.t.Context(), s3.Options{URL: "s3://bucket/pay?region=us-east-1&endpoint=" + f.server.URL, Retention: 8 * 24 * time.Hour, Timeout: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(f.t.Output(), nil)), Registerer: prometheus.NewRegistry()})
}

func (f *fake) mustOpen() *s3.Store {
	f.t.Helper()
	s, err := f.open()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = s.Close() })
	return s
}

// operation names a request as IAM does.
func operation(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, lifecycle := r.URL.Query()["lifecycle"]
	switch {
	case lifecycle && r.Method == http.MethodGet:
		return "GetLifecycleConfiguration"
	case lifecycle:
		return "PutLifecycleConfiguration"
	case key == "" && r.Method == http.MethodHead:
		return "HeadBucket"
	case key == "" && r.Method == http.MethodGet:
		return "ListBucket"
	case key == "":
		return "CreateBucket"
	case r.Method == http.MethodPut:
		return "PutObject"
	}
	return "GetObject"
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	op := operation(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	if f.away {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
		return
	}
	if code := f.deny[op]; code != "" {
		fail(w, http.StatusForbidden, code)
		return
	}
	switch op {
	case "HeadBucket":
		if f.missing {
			w.WriteHeader(http.StatusNotFound)
		}
	case "CreateBucket":
		f.missing = false
	case "GetLifecycleConfiguration":
		if f.rules == "" {
			fail(w, http.StatusNotFound, "NoSuchLifecycleConfiguration")
			return
		}
		fmt.Fprintf(w, `<LifecycleConfiguration>%s</LifecycleConfiguration>`, f.rules)
	case "ListBucket":
		fmt.Fprint(w, `<ListBucketResult></ListBucketResult>`)
	case "PutLifecycleConfiguration":
		f.put = string(body)
	case "PutObject":
		f.objects[r.URL.Path] = &object{body: body, metadata: r.Header.Get("X-Amz-Meta-Crc32c")}
	case "GetObject":
		o := f.objects[r.URL.Path]
		if o == nil {
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("X-Amz-Meta-Crc32c", o.metadata)
		w.Write(o.body)
	}
}

func fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Error><Code>%s</Code><Message>because</Message></Error>`, code)
}

// A payload that was damaged in the store is never given out.
func TestDamageShows(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen()
	if err := s.Put(t.Context(), "acme/1", []byte("a payload")); err != nil {
		t.Fatal(err)
	}
	if body, err := s.Get(t.Context(), "acme/1"); err != nil || string(body) != "a payload" {
		t.Fatalf("%q, %v", body, err)
	}
	for name, damage := range map[string]func(o *object){
		"changed": func(o *object) { o.body = []byte("a pawload") },
		"cut off": func(o *object) { o.body = o.body[:3] },
		"empty":   func(o *object) { o.body = nil },
	} {
		f.with(func() {
			o := *f.objects["/bucket/pay/acme/1"]
			damage(&o)
			f.objects["/bucket/pay/acme/2"] = &o
		})
		if body, err := s.Get(t.Context(), "acme/2"); postrider.CodeOf(err) != postrider.CodeMalformed {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
}

// Only a payload that is missing is not found: a denial and an outage are no answer.
func TestWhatIsNotAnAnswer(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen()
	if _, err := s.Get(t.Context(), "acme/none"); postrider.CodeOf(err) != postrider.CodeNotFound {
		t.Errorf("missing: %v", err)
	}
	for _, code := range []string{"AccessDenied", "InvalidAccessKeyId", "SlowDown", "InternalError", "NoSuchBucket"} {
		f.with(func() { f.deny["GetObject"], f.deny["PutObject"] = code, code })
		if _, err := s.Get(t.Context(), "acme/none"); postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "s3:GetObject") {
			t.Errorf("get, %s: %v", code, err)
		}
		if err := s.Put(t.Context(), "acme/1", nil); postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "s3:PutObject") {
			t.Errorf("put, %s: %v", code, err)
		}
	}
	if err := s.Check(t.Context()); err == nil && f.calls["HeadBucket"] < 2 {
		t.Error("a denial is no reason to look again")
	}
}

// A server that is away at the start, and later.
func TestServerAway(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.away, f.missing = true, true
	if _, err := f.open(); postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("open: %v", err)
	}
	f.with(func() { f.away = false })
	s := f.mustOpen()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	f.with(func() {
		if f.missing || !strings.Contains(f.put, "<Days>8</Days>") || !strings.Contains(f.put, "<Prefix>pay/</Prefix>") {
			t.Errorf("the bucket is missing: %v, rules: %s", f.missing, f.put)
		}
		f.away = true
	})
	if _, err := s.Get(t.Context(), "acme/1"); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("get: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("nothing is missing while the server is away")
	}
	f.with(func() { f.away = false })
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is wrong at the start is named, with the permission.
func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	rule := func(id, filter string, days int) string {
		return fmt.Sprintf("<Rule><ID>%s</ID><Status>Enabled</Status>%s<Expiration><Days>%d</Days></Expiration></Rule>", id, filter, days)
	}
	for name, c := range map[string]struct {
		make  func(*fake)
		wrong string // in the error; "" if there is to be none
		put   string // in the rules that are put; "" if none are to be
		sweep bool
	}{
		"bucket denied": {make: func(f *fake) { f.missing = true; f.deny["CreateBucket"] = "AccessDenied" }, wrong: "s3:CreateBucket"},
		"too early":     {make: func(f *fake) { f.rules = rule("old", "<Filter><Prefix></Prefix></Filter>", 3) }, wrong: "rule old of bucket bucket expires payloads after 3 days"},
		"covered":       {make: func(f *fake) { f.rules = rule("all", "<Filter><Prefix>pay/</Prefix></Filter>", 30) }},
		"elsewhere":     {make: func(f *fake) { f.rules = rule("other", "<Filter><Prefix>other/</Prefix></Filter>", 1) }, put: "<ID>other</ID>"},
		"only of a tag": {make: func(f *fake) { f.rules = rule("tag", "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>", 30) }, put: "postrider-payloads"},
		"no lifecycle":  {make: func(f *fake) { f.deny["GetLifecycleConfiguration"] = "NotImplemented" }, sweep: true},
		"not permitted": {make: func(f *fake) { f.deny["PutLifecycleConfiguration"] = "AccessDenied" }, sweep: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			c.make(f)
			s, err := f.open()
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) || postrider.CodeOf(err) == postrider.CodeUnavailable {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if c.put == "" != (f.put == "") || !strings.Contains(f.put, c.put) {
				t.Errorf("put %q", f.put)
			}
			if _, err := s.Expire(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
			if swept := f.calls["ListBucket"] > 0; swept != c.sweep {
				t.Errorf("swept: %v", swept)
			}
		})
	}
}
