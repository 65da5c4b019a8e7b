package bench

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestBitmap(t *testing.T) {
	t.Parallel()
	b := newBitmap(70)
	for _, i := range []int{0, 63, 64, 69} {
		if b.has(i) || b.set(i) {
			t.Errorf("%d is there before it was set", i)
		}
		if !b.has(i) || !b.set(i) {
			t.Errorf("%d is not there", i)
		}
	}
	if b.set(1000) || b.has(1000) {
		t.Error("what is beyond the end is there")
	}
	if b.count() != 4 {
		t.Errorf("count is %d", b.count())
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 123_456_789)
	p := newPayload(1 << 10)
	got := stamped(p, at)
	if len(got) != 1<<10 || !stamp(got).Equal(at) {
		t.Errorf("%d bytes, %v", len(got), stamp(got))
	}
	if !stamp([]byte(`{"other":1}`)).IsZero() || stamp(p).After(time.Unix(0, 0)) {
		t.Error("a payload without a time has one")
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var micros []uint32
	for i := range uint32(100) {
		micros = append(micros, (100-i)*1000)
	}
	if p := percentiles(micros, 50, 95, 99); p[0] != 51 || p[1] != 96 || p[2] != 100 {
		t.Errorf("got %v", p)
	}
	if median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1}) != 2.5 || median(nil) != 0 {
		t.Error("median is wrong")
	}
}

// TestLedger publishes to a sink that drops one message and takes another twice.
func TestLedger(t *testing.T) {
	t.Parallel()
	s := &sink{}
	inner := s.handler()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/t/") {
			inner.ServeHTTP(w, r)
			return
		}
		r.Header.Set("webhook-id", r.Header.Get(headerID))
		switch n.Add(1) {
		case 3:
		case 4:
			s.enter(r.Header.Get("webhook-id"), "0", time.Time{}, time.Now())
			inner.ServeHTTP(w, r)
			return
		default:
			inner.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	r := &run{ctx: t.Context(), record: &CaseRecord{}}
	remote := &remoteSink{process: &process{url: server.URL}, r: r, http: server.Client()}
	if err := remote.mode(0, http.StatusAccepted); err != nil {
		t.Fatal(err)
	}
	id, err := remote.open(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := publish(t.Context(), load{to: endpoint{url: remote.target(0)}, run: id, publishers: 3, payload: newPayload(100), most: 10})
	seen, err := remote.seen()
	if err != nil {
		t.Fatal(err)
	}
	tallied, err := remote.tally()
	if err != nil {
		t.Fatal(err)
	}
	l := compare(got, seen, 1, tallied)
	if l.Accepted != 10 || l.Missing != 1 || l.Twins != 1 || l.Arrived != 9 || !l.lost() {
		t.Errorf("ledger is %+v", l)
	}
	r.add(l)
	if r.record.Ledger.Missing != 1 {
		t.Error("the ledger of the case is another")
	}
}

// TestTenantsTakeTurns publishes as several tenants.
func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got[r.Header.Get(headerTenant)]++
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	publish(t.Context(), load{to: endpoint{url: server.URL}, run: "a", publishers: 2, payload: newPayload(100), most: 10, tenants: 5})
	if len(got) != 5 || got[tenantName(0)] != 2 || got[tenantName(4)] != 2 {
		t.Errorf("tenants: %v", got)
	}
}

// TestAfter: what removes what a case made is called once its children have ended.
func TestAfter(t *testing.T) {
	t.Parallel()
	r := &run{ctx: t.Context(), record: &CaseRecord{}}
	var order []string
	err := r.inFolder(func(r *run) error {
		r.after = append(r.after, func() { order = append(order, "removed") })
		order = append(order, "measured")
		return nil
	})
	if err != nil || !slices.Equal(order, []string{"measured", "removed"}) {
		t.Errorf("%v, %v", order, err)
	}
}

func TestSelected(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"scale", "dispatcher", "consumer", "archiver", "requests", "pending"} {
		if _, err := selected(Options{Cases: []string{name}}); err == nil {
			t.Errorf("%s runs on embedded engines", name)
		}
		if _, err := selected(Options{Cases: []string{name}, Remote: true, Split: true}); err != nil {
			t.Error(err)
		}
	}
	if _, err := selected(Options{Cases: []string{"nonesuch"}}); err == nil || !strings.Contains(err.Error(), "saturated") {
		t.Errorf("an unknown case: %v", err)
	}
	local, err := selected(Options{})
	if err != nil || len(local) == 0 {
		t.Fatal(local, err)
	}
	for _, c := range local {
		if !c.Local {
			t.Errorf("%s is run on embedded engines", c.Name)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := &run{record: &CaseRecord{Name: "one"}}
	r.atLeast("a", 0.25, "ratio", 0.5)
	r.atMost("b", 3, "ms", 5)
	r.note("as it was")
	r.add(Ledger{Accepted: 5})
	r.record.Error = "it broke"
	var out bytes.Buffer
	if err := (&Record{Cases: []*CaseRecord{r.record}}).Table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.25", "≥ 0.50", "no", "3 ms", "≤ 5 ms", "yes", "0 missing", "one: as it was", "one FAILED: it broke"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRunChildUnknown(t *testing.T) {
	t.Parallel()
	if err := RunChild(context.Background(), "nonesuch", "", &bytes.Buffer{}); err == nil {
		t.Error("an unknown child runs")
	}
}
