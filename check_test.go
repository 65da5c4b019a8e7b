package postrider_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

// wantFields checks that an error names exactly these fields; none means that there is no error.
func wantFields(t *testing.T, err error, fields ...string) {
	t.Helper()
	var e *postrider.Error
	if len(fields) == 0 {
		if err != nil {
			t.Errorf("unexpected fault: %v", err)
		}
		return
	}
	if !errors.As(err, &e) {
		t.Fatalf("%v is no postrider.Error; want faults in %v", err, fields)
	}
	var got []string
	for _, f := range e.Fields {
		got = append(got, f.Field)
	}
	slices.Sort(got)
	slices.Sort(fields)
	if !slices.Equal(got, fields) {
		t.Errorf("faulty fields %v, want %v", got, fields)
	}
}

func TestCheckEventType(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "core.orders.created.v1", "A_b-c.0", strings.Repeat("x", 128), "postrider.target.disabled"} {
		wantFields(t, postrider.CheckEventType(good))
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a b", "a.*", "*", "ü", "a/b", strings.Repeat("x", 129), "a\n"} {
		wantFields(t, postrider.CheckEventType(bad), "eventType")
	}
	wantFields(t, postrider.CheckPublishedType("postrider.target.disabled"), "eventType")
	wantFields(t, postrider.CheckPublishedType("postriders.target"))
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"*", "a", "a.*", "core.orders.*", "postrider.*"} {
		wantFields(t, postrider.CheckPattern(good))
	}
	for _, bad := range []string{"", "**", ".*", "a*", "*.a", "a.*.b", "a..*", strings.Repeat("x", 127) + ".*"} {
		wantFields(t, postrider.CheckPattern(bad), "events")
	}
	for _, tt := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.b.c", false}, {"a.b", "a", false},
		{"a.*", "a.b", true}, {"a.*", "a.b.c", true}, {"a.*", "a", false}, {"a.*", "ab.c", false},
		{"*", "a", true}, {"*", "a.b", true}, {"*", "postrider.target.disabled", false},
		{"postrider.*", "postrider.target.disabled", true}, {"postrider.target.disabled", "postrider.target.disabled", true},
	} {
		if got := postrider.PatternMatches(tt.pattern, tt.eventType); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.pattern, tt.eventType, got)
		}
	}
}

func TestPatternOverItsLimit(t *testing.T) {
	t.Parallel()
	var e *postrider.Error
	if err := postrider.CheckPattern(strings.Repeat("x", 129)); !errors.As(err, &e) || !strings.Contains(e.Fields[0].Message, "at most 128") {
		t.Errorf("got %v", err)
	}
}

func TestCheckIDs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"evt_1", "a:b@c=d+e/f-g", strings.Repeat("x", 128)} {
		wantFields(t, postrider.CheckEventID(good))
	}
	for _, bad := range []string{"", "a.b", "a b", strings.Repeat("x", 129), "ä", "a\x00"} {
		wantFields(t, postrider.CheckEventID(bad), "id")
	}
	for _, good := range []string{"default", "A.b_c-9", strings.Repeat("t", 64)} {
		wantFields(t, postrider.CheckTenant(good))
	}
	for _, bad := range []string{"", "a/b", "a b", strings.Repeat("t", 65)} {
		wantFields(t, postrider.CheckTenant(bad), "tenant")
	}
	for _, good := range []string{"", "application/json", "text/plain; charset=utf-8"} {
		wantFields(t, postrider.CheckContentType(good))
	}
	for _, bad := range []string{" text/plain", "x", "text/", "a/b; q", "not a type", "a\r\nb", "ü", strings.Repeat("x", 257)} {
		wantFields(t, postrider.CheckContentType(bad), "contentType")
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"http://example.com", "https://example.com:8443/a?b=c", "http://[2606:4700::1111]/x", "HTTP://example.com/", "http://example.com/a b/ü?a%20b=%C3%BC"} {
		wantFields(t, postrider.CheckURL(good))
	}
	for _, bad := range []string{"", "example.com", "ftp://example.com", "http://", "http:///x", "http://u@example.com", "http://u:p@example.com",
		"http://example.com/#f", "http://example.com#", "http://example.com:0", "http://example.com:65536", "http://example.com:", "http:example.com",
		"http://exa mple.com", "http://example.com/?a b", "http://example.com/?ä=1", "http://example.com/?a=\xff", "http://example.com/" + strings.Repeat("x", 2048), "javascript:alert(1)", "//example.com", "http://%zz/"} {
		wantFields(t, postrider.CheckURL(bad), "url")
	}
}

func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	wantFields(t, postrider.CheckHeaders(map[string]string{"Authorization": "Bearer x", "X-Empty": ""}))
	for name, value := range map[string]string{"Host": "a", "webhook-id": "a", "Postrider-Attempt": "1", "Connection": "x", "a b": "c", "": "x",
		"X-Nl": "a\r\nb", "X-Blank": " a", "Content-Length": "1", "Transfer-Encoding": "chunked"} {
		wantFields(t, postrider.CheckHeaders(map[string]string{name: value}), "headers."+name)
	}
	wantFields(t, postrider.CheckHeaders(map[string]string{"X-Big": strings.Repeat("x", 8<<10)}), "headers")
}

// Every fault of an entity is named at once.
func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	target := postrider.Target{URL: "x", Name: strings.Repeat("n", 200), MaxInFlight: -1, Headers: map[string]string{"Host": "x"},
		Retry: postrider.RetryPolicy{Base: 1}}
	wantFields(t, target.Check(), "url", "name", "maxInFlight", "headers.Host", "retry.base")
	filter := postrider.Filter{Events: []string{"a", "a", "b..c"}}
	wantFields(t, filter.Check(), "events[1]", "events[2]")
	wantFields(t, (&postrider.Filter{}).Check(), "events")
}

func FuzzChecks(f *testing.F) {
	for _, s := range []string{"", "a.b.*", "http://example.com:80/", "evt_1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = postrider.CheckURL(s), postrider.CheckHeaders(map[string]string{s: s})
		if postrider.CheckEventType(s) == nil && (len(s) > 128 || postrider.CheckPattern(s) != nil) {
			t.Errorf("type %q", s)
		}
		if id, err := postrider.ParseDeliveryID(s); err == nil && id.String() != s {
			t.Errorf("delivery id %q reads as %q", s, id)
		}
		trace := postrider.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", s)
		if parent, state := postrider.SplitTrace(trace); postrider.TraceContext(parent, state) != trace {
			t.Errorf("trace %q became %q", trace, postrider.TraceContext(parent, state))
		}
	})
}
