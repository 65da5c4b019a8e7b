package sqs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/retry"
	"github.com/postrider/postrider/internal/slot"
	"github.com/postrider/postrider/internal/sqs"
)

// childVariable names the queue for which this binary runs as a retry manager, so that its memory can be told from the test's.
const childVariable = "POSTRIDER_TEST_RETRY_MANAGER"

// report is what a child tells for each line on its standard input.
type report struct {
	Requests map[string]int // to SQS, by operation
	RSS      int            // KiB, at its highest
}

// requests are all of them.
func (r *report) requests() (n int) {
	for _, of := range r.Requests {
		n += of
	}
	return n
}

// retryManager is a process of a retry manager alone, until its standard input ends.
func retryManager(name string) int {
	registry := prometheus.NewRegistry()
	q, err := sqs.Open(context.Background(), sqs.Options{URL: "sqs://" + name + "?region=us-east-1&endpoint=" + url.QueryEscape(os.Getenv("AWS_ENDPOINT_URL_SQS")),
		Lease: pendingLease, Clock: time.Now, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Registerer: registry})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- retry.New(retry.Options{Queue: q}).Run(ctx) }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		r := report{Requests: map[string]int{}}
		families, _ := registry.Gather()
		for _, f := range families {
			if f.GetName() == "postrider_sqs_requests_total" {
				for _, m := range f.GetMetric() {
					r.Requests[m.GetLabel()[0].GetValue()] += int(m.GetCounter().GetValue())
				}
			}
		}
		r.RSS = status("VmHWM")
		_ = json.NewEncoder(os.Stdout).Encode(r)
	}
	cancel()
	if err := <-ended; err != nil {
		return 1
	}
	_ = q.Close()
	return 0
}

// status reads a line of Linux's account of this process; 0 elsewhere.
func status(name string) int {
	raw, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// child is a retry manager in a process of its own.
type child struct {
	t     *testing.T
	in    io.WriteCloser
	out   *bufio.Reader
	cmd   *exec.Cmd
	ended bool
}

func startChild(t *testing.T, name string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, in: in, out: bufio.NewReader(out), cmd: cmd}
	t.Cleanup(c.kill)
	return c
}

func (c *child) report() (r report) {
	c.t.Helper()
	fmt.Fprintln(c.in)
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		c.t.Error(err)
	}
	return r
}

// untilItSends waits until the manager has sent something.
func (c *child) untilItSends() {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); c.report().Requests["send"] == 0; <-time.After(time.Millisecond) {
		if c.t.Failed() || time.Now().After(end) {
			c.t.Fatal("the manager sends nothing")
		}
	}
}

func (c *child) kill() {
	if !c.ended {
		c.ended = true
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// pendingLease is short, since the test waits for those of a manager that was killed.
const pendingLease = 15 * time.Second

// TestStackPendingRetries puts many retries away, lets a retry manager of its own process hand them on, and tells what that
// costs. A first manager is killed as soon as it has sent the first of them. The bench's case pending measures the same with 100,000.
func TestStackPendingRetries(t *testing.T) {
	t.Parallel()
	endpoint(t)
	for name, p := range map[string]pending{
		"AtOnce": {n: 10_000, targets: 1, pack: 50},
		"Inline": {n: 2000, targets: 1, pack: 10, inline: true}, // 1 KB each, which stays in the queue
		"Spread": {n: 2000, targets: 100, pack: 4, over: time.Hour, watch: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) { p.run(t, name) })
	}
}

// pending is a number of retries that are put away.
type pending struct {
	n             int
	targets, pack int
	over          time.Duration
	inline        bool
	watch         time.Duration // 0: until all were handed on
}

func (p pending) run(t *testing.T, name string) {
	t.Helper()
	queue := fmt.Sprintf("pr-%d", time.Now().UnixNano())
	q := open(t, queue, pendingLease)
	begin := time.Now().Add(8600 * time.Millisecond).Truncate(time.Second) // more than the queue's lead
	putting := time.Now()
	messages := putAway(t, q, p.n, p.targets, p.pack, p.over, p.inline, begin)
	put := time.Since(putting)
	started := time.Now()
	manager := p.manager(t, queue)
	h := p.taken(t, q, started)
	took := time.Since(started)
	r := manager.report()
	t.Logf("%s: %d deliveries in %d messages, put within %v; %d handed on, %d of them twice, the last %v after the first was due, up to %v late; %v of the manager's requests, %.0f a minute; at most %d MiB resident",
		name, p.n, messages, put.Round(time.Millisecond), len(h.seen), h.twins(), h.last.Sub(begin).Round(time.Millisecond), h.late.Round(time.Millisecond), r.Requests, float64(r.requests())/took.Minutes(), r.RSS/1024)
	if p.watch == 0 && len(h.seen) != p.n {
		t.Errorf("%d of %d were handed on", len(h.seen), p.n)
	}
	if r.RSS > 100<<10 && !raceEnabled {
		t.Errorf("%d MiB resident", r.RSS/1024)
	}
}

// manager starts a retry manager: where all are to be handed on, a second one after the first was killed over it.
func (p pending) manager(t *testing.T, queue string) *child {
	t.Helper()
	first := startChild(t, queue)
	if first.report(); p.watch > 0 {
		return first
	}
	first.untilItSends()
	first.kill() // what it held comes again when its leases end
	return startChild(t, queue)
}

// taken takes what is handed on, until that is all or the time is over.
func (p pending) taken(t *testing.T, q *sqs.Queue, started time.Time) *handed {
	t.Helper()
	h := &handed{seen: map[postrider.DeliveryID]int{}, last: time.Now()}
	end := time.Now().Add(5 * time.Minute)
	if p.watch > 0 {
		end = started.Add(p.watch)
	}
	for (p.watch > 0 || len(h.seen) < p.n) && time.Now().Before(end) {
		h.take(t, q, end)
	}
	return h
}

// handed is what a retry manager handed on.
type handed struct {
	seen map[postrider.DeliveryID]int // how often
	late time.Duration                // the longest after it was due
	last time.Time                    // when some came
}

// take takes what there is, at the latest at end.
func (h *handed) take(t *testing.T, q *sqs.Queue, end time.Time) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), end)
	leases, err := q.Take(ctx, postrider.TakeRequest{Lane: postrider.LaneBulk, Credit: 1000})
	cancel()
	if err != nil { // the server is busy, or the time is over
		t.Log(err)
		return
	}
	for _, l := range leases {
		for i := range l.Pack.Deliveries {
			h.seen[l.Pack.Deliveries[i].ID]++
			h.late = max(h.late, time.Since(l.Pack.Deliveries[i].Due))
			if time.Now().Before(l.Pack.Deliveries[i].Due) {
				t.Error("one was handed on before it was due")
			}
		}
		if _, err := q.Settle(t.Context(), l); err != nil {
			t.Error(err)
		}
	}
	h.last = time.Now()
}

func (h *handed) twins() int {
	n := -len(h.seen)
	for _, times := range h.seen {
		n += times
	}
	return n
}

// putAway puts n deliveries into the retry lane, in packs of one target and slot, and returns how many messages that made.
func putAway(t *testing.T, q *sqs.Queue, n, targets, size int, over time.Duration, inline bool, begin time.Time) (messages int) {
	t.Helper()
	payload := postrider.Payload{Size: 1000, Key: "acme/2026-01-01/key"}
	if inline {
		payload = postrider.Payload{Size: 1000, Bytes: []byte(strings.Repeat("x", 1000))}
	}
	limits := q.Limits()
	var commits []*postrider.Commit
	for i := 0; i < n; i += size {
		pack := &postrider.Pack{Tenant: "acme"}
		target := int64(1 + i/size%targets)
		for j := i; j < min(i+size, n); j++ {
			e := &postrider.Event{ID: fmt.Sprint("evt_", j), Tenant: "acme", Type: "core.orders.created.v1", AcceptedAt: time.Now().UTC().Truncate(time.Millisecond),
				Position: postrider.Position(fmt.Sprint("0-", j)), Payload: payload}
			pack.Deliveries = append(pack.Deliveries, postrider.Delivery{ID: postrider.NewDeliveryID(e, target), Event: e, TargetID: target, Version: 1,
				Attempts: 1, Start: e.AcceptedAt, Due: begin.Add(over * time.Duration(i) / time.Duration(n)), LastTry: e.AcceptedAt})
		}
		commit, err := q.Put(t.Context(), postrider.Item{Lane: postrider.LaneRetry, Pack: pack, Delay: slot.Delay(pack.Deliveries, time.Now(), &limits)})
		if err != nil {
			t.Fatal(err)
		}
		messages++
		commits = append(commits, commit)
	}
	for _, c := range commits {
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return messages
}
