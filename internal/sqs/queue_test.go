package sqs_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/queuetest"
	"github.com/postrider/postrider/internal/sqs"
)

func items(n int, lane postrider.Lane) []postrider.Item {
	all := make([]postrider.Item, n)
	for i := range all {
		all[i] = postrider.Item{Lane: lane, Pack: queuetest.NewPack("acme", i, 1)}
	}
	return all
}

func put(t *testing.T, q *sqs.Queue, all ...postrider.Item) error {
	t.Helper()
	commit, err := q.Put(t.Context(), all...)
	if err != nil {
		return err
	}
	return commit.Wait(t.Context())
}

func take(t *testing.T, q *sqs.Queue, lane postrider.Lane, n int) (leases []*postrider.Lease) {
	t.Helper()
	for len(leases) < n {
		got, err := q.Take(t.Context(), postrider.TakeRequest{Lane: lane, Credit: n - len(leases)})
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, got...)
	}
	return leases
}

// 1,000 messages that are put, taken and settled together make full batches, save at the ends.
func TestBatchesAreFull(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	q := f.mustOpen()
	if err := put(t, q, items(1000, postrider.LaneFirst)...); err != nil {
		t.Fatal(err)
	}
	commits := []*postrider.Commit{}
	for _, l := range take(t, q, postrider.LaneFirst, 1000) {
		commit, err := q.Settle(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, commit)
	}
	for _, c := range commits {
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := len(f.queues["q"]); left != 0 {
		t.Errorf("%d messages left", left)
	}
	counts := f.counts()
	for op, most := range map[string]int{"SendMessageBatch": 102, "DeleteMessageBatch": 102, "ReceiveMessage": 130} {
		if counts[op] < 100 || counts[op] > most {
			t.Errorf("%d requests %s for 1,000 messages", counts[op], op)
		}
	}
}

// A batch never has more bytes than the queue takes, which it tells.
func TestBatchesKeepTheSize(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.attributes = map[string]string{"MaximumMessageSize": "2000"}
	f.tooLong = 2000
	q := f.mustOpen()
	if got := q.Limits().MaxBytes; got != 2000 {
		t.Errorf("limit %d", got)
	}
	if err := put(t, q, items(100, postrider.LaneFirst)...); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.batches {
		if n < 2 && len(f.batches) > 60 {
			t.Errorf("batches of %v", f.batches)
		}
	}
	if got := len(f.queues["q"]); got != 100 {
		t.Errorf("%d messages", got)
	}
}

// A batch that is refused as a whole goes in halves; an entry that is refused for good is told, and its neighbours go through;
// what fails for now is repeated.
func TestPartialFailures(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.tooLong = 700
	tries := map[string]int{}
	bodyOf := map[string]int{}
	f.refuse = func(body string) (string, bool) {
		n, seen := bodyOf[body]
		if !seen {
			n = len(bodyOf)
			bodyOf[body] = n
		}
		tries[body]++
		switch {
		case n == 3:
			return "InvalidMessageContents", true
		case n == 5 && tries[body] < 3:
			return "InternalError", false
		case n == 7 && tries[body] < 3:
			return "KmsThrottled", true // called the sender's fault, and is none
		}
		return "", false
	}
	q := f.mustOpen()
	commits := make([]*postrider.Commit, 20)
	for i, item := range items(20, postrider.LaneFirst) {
		var err error
		if commits[i], err = q.Put(t.Context(), item); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for _, c := range commits {
		switch err := c.Wait(t.Context()); postrider.CodeOf(err) {
		case postrider.CodeTooLarge:
			refused++
		default:
			if err != nil {
				t.Error(err)
			}
		}
	}
	if got := len(f.queues["q"]); got != 19 || refused != 1 {
		t.Errorf("%d messages, %d refused", got, refused)
	}
}

// Denials at the start name the permission; wrong attributes are named, all of them.
func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(*fake)
		want []string
	}{
		"create":     {func(f *fake) { f.missing = true; f.deny["CreateQueue"] = "AccessDeniedException" }, []string{"sqs:CreateQueue", "queue q "}},
		"get url":    {func(f *fake) { f.deny["GetQueueUrl"] = "AccessDeniedException" }, []string{"sqs:GetQueueUrl"}},
		"attributes": {func(f *fake) { f.deny["GetQueueAttributes"] = "AccessDeniedException" }, []string{"sqs:GetQueueAttributes"}},
		"wrong": {func(f *fake) {
			f.attributes = map[string]string{"MessageRetentionPeriod": "345600", "DelaySeconds": "5", "RedrivePolicy": "{}"}
		}, []string{"queue q has MessageRetentionPeriod 345600; it must be 1209600", "DelaySeconds", "RedrivePolicy", "sqs:SetQueueAttributes", "queue q-outcomes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			c.make(f)
			_, err := f.open()
			if code := postrider.CodeOf(err); err == nil || code == postrider.CodeUnavailable { // which would be tried again
				t.Fatalf("opened: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestMissingQueuesAreMade(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.missing = true
	f.mustOpen()
	for _, name := range []string{"q", "q-retry", "q-bulk", "q-outcomes"} {
		if got := f.made[name]["MessageRetentionPeriod"]; got != "1209600" {
			t.Errorf("%s: retention %q", name, got)
		}
	}
}

// A server that is away at the start, and later: the queue answers within bounds, says what is missing, and goes on when the
// server is back.
func TestServerAway(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.away = true
	short := func(o *sqs.Options) { o.Timeout = 3 * time.Second }
	if _, err := f.open(short); postrider.CodeOf(err) != postrider.CodeUnavailable || !strings.Contains(err.Error(), "queue q ") {
		t.Errorf("open: %v", err)
	}
	f.with(func() { f.away = false })
	q := f.mustOpen(short)
	if err := q.Check(t.Context()); err != nil {
		t.Error(err)
	}

	f.with(func() { f.away = true })
	if err := put(t, q, items(30, postrider.LaneFirst)...); postrider.CodeOf(err) != postrider.CodeUnavailable {
		t.Errorf("put: %v", err)
	}
	if err := q.Check(t.Context()); err == nil {
		t.Error("nothing is missing while the server is away")
	}
	commit, err := q.Put(t.Context(), items(1, postrider.LaneFirst)...)
	if err != nil {
		t.Fatal(err)
	}
	f.with(func() { f.away = false })
	if err := commit.Wait(t.Context()); err != nil {
		t.Errorf("a put that was under way when the server came back: %v", err)
	}
	if err := q.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func until(t *testing.T, what func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !what() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// What can't be read stays, comes seldom, is counted, and does not keep others from coming.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	later := base64.RawStdEncoding.EncodeToString([]byte{99, 1, 0, 0, 0, 0})
	old := &message{id: "old", body: "!!", group: "acme", sent: time.Now().Add(-8 * 24 * time.Hour)}
	foreign, ofLater := &message{id: "a", body: `{"json": true}`, sent: time.Now()}, &message{id: "b", body: later, sent: time.Now(), receives: 3}
	f.queues["q"] = []*message{foreign, ofLater, old}
	registry := prometheus.NewRegistry()
	q := f.mustOpen(func(o *sqs.Options) { o.Registerer = registry })
	if err := put(t, q, items(1, postrider.LaneFirst)...); err != nil {
		t.Fatal(err)
	}
	if got := take(t, q, postrider.LaneFirst, 1); got[0].Pack.Tenant != "acme" {
		t.Errorf("took %+v", got[0])
	}
	until(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		anew := 0
		for _, m := range f.queues["q"] {
			if m.body == old.body && m != old && m.delay == 900 && m.group == "acme" {
				anew++
			}
			if m == old {
				return false
			}
		}
		return anew == 1 && len(foreign.hidden) == 1 && foreign.hidden[0] == 60 && len(ofLater.hidden) == 1 && ofLater.hidden[0] == 480
	})
	if got := testutil.ToFloat64(collector(t, registry, "postrider_sqs_unreadable_total")); got < 3 {
		t.Errorf("%v unreadable", got)
	}
}

func collector(t *testing.T, r *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum.Add(m.GetCounter().GetValue())
			}
		}
	}
	return sum
}

// Close completes what was begun, gives back what was received and not handed out, and then answers CodeGone.
func TestClose(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	q := f.mustOpen()
	if err := put(t, q, items(10, postrider.LaneFirst)...); err != nil {
		t.Fatal(err)
	}
	lease := take(t, q, postrider.LaneFirst, 1)[0] // nine more are held
	settled, err := q.Settle(t.Context(), lease, postrider.Item{Lane: postrider.LaneBulk, Pack: lease.Pack})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := settled.Wait(t.Context()); err != nil {
		t.Errorf("a settle that was begun: %v", err)
	}
	for _, m := range f.queues["q"] {
		if m.receives > 0 && (len(m.hidden) != 1 || m.hidden[0] != 0) {
			t.Errorf("message %s was not given back", m.id)
		}
	}
	if len(f.queues["q"]) != 9 || len(f.queues["q-bulk"]) != 1 {
		t.Errorf("%d and %d messages", len(f.queues["q"]), len(f.queues["q-bulk"]))
	}
	if _, err := q.Take(context.Background(), postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 1}); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("take: %v", err)
	}
	if _, err := q.Put(context.Background(), items(1, postrider.LaneFirst)...); postrider.CodeOf(err) != postrider.CodeGone {
		t.Errorf("put: %v", err)
	}
}

// A call that ends with its context leaves nothing behind: what was held and what comes then is given back at once.
func TestTakeThatIsGivenUp(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	q := f.mustOpen()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := q.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 1})
		ended <- err
	}()
	until(t, func() bool { return f.counts()["ReceiveMessage"] == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("something came")
	}
	if err := put(t, q, items(5, postrider.LaneFirst)...); err != nil { // the receive under way brings them
		t.Fatal(err)
	}
	until(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		back := 0
		for _, m := range f.queues["q"] {
			if m.receives > 0 && len(m.hidden) == 1 && m.hidden[0] == 0 {
				back++
			}
		}
		return back > 0
	})
	if got := take(t, q, postrider.LaneFirst, 5); len(got) != 5 {
		t.Errorf("%d of 5", len(got))
	}
}

// A lane without messages costs one receive per long poll.
func TestIdle(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	q := f.mustOpen()
	if err := put(t, q, items(100, postrider.LaneFirst)...); err != nil {
		t.Fatal(err)
	}
	take(t, q, postrider.LaneFirst, 100)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	before := f.counts()["ReceiveMessage"]
	if _, err := q.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneFirst, Credit: 384}); err == nil {
		t.Error("something came")
	}
	if n := f.counts()["ReceiveMessage"] - before; n > 2*8 { // those under way end first
		t.Errorf("%d receives of an empty lane in 3 s", n)
	}
}
