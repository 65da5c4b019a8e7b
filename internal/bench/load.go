package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Headers of what is published.
const (
	headerType   = "Postrider-Event-Type"
	headerID     = "Postrider-Event-Id"
	headerTenant = "Postrider-Tenant"
)

// endpoint is where events are POSTed.
type endpoint struct {
	url    string
	header http.Header
}

// load is what is published in one measurement.
type load struct {
	to         endpoint
	eventType  string
	run        string // prefix of the ids
	publishers int
	payload    []byte
	most       int           // events; more are not published
	duration   time.Duration // 0: until most
	rate       float64       // events/s, evenly; 0: as fast as it goes
	batch      int           // events in one request; 0: not by batch
	from       int           // number of the first event
	tenants    int           // that take turns; 0: there is one only. Not by batch
}

// sent is what became of a load.
type sent struct {
	accepted bitmap // by number, from load.from on
	count    int64  // accepted
	refused  atomic.Int64
	failed   atomic.Int64
	begun    time.Time
	took     time.Duration
	micros   []uint32 // of each request, from its start to its answer
	fault    atomic.Pointer[string]
}

// publisher is one of a load's publishers.
type publisher struct {
	load
	http   *http.Client
	sent   *sent
	next   *atomic.Int64
	micros []uint32
	mine   []int // numbers that were accepted
}

// publish publishes a load and returns when every request was answered.
func publish(ctx context.Context, l load) *sent {
	s := &sent{accepted: newBitmap(l.from + l.most), begun: time.Now()}
	client := newHTTP()
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var group sync.WaitGroup
	list := make([]*publisher, l.publishers)
	for i := range list {
		list[i] = &publisher{load: l, http: client, sent: s, next: &next}
		group.Go(func() { list[i].run(ctx) })
	}
	group.Wait()
	s.took = time.Since(s.begun)
	for _, p := range list {
		s.micros = append(s.micros, p.micros...)
		for _, n := range p.mine {
			s.accepted.set(n)
		}
	}
	s.count = int64(s.accepted.count())
	return s
}

// run publishes until the load is at its end.
func (p *publisher) run(ctx context.Context) {
	size := max(1, p.batch)
	for ctx.Err() == nil {
		at := int(p.next.Add(int64(size))) - size
		size = min(size, p.most-at)
		if size <= 0 || !p.wait(ctx, at) {
			return
		}
		p.one(ctx, p.from+at, size)
	}
}

// wait waits for the turn of event n, and reports whether it comes within the duration.
func (p *publisher) wait(ctx context.Context, n int) bool {
	if p.rate == 0 {
		return p.duration == 0 || time.Since(p.sent.begun) < p.duration
	}
	due := time.Duration(float64(n) / p.rate * float64(time.Second))
	if p.duration > 0 && due >= p.duration {
		return false
	}
	return pause(ctx, time.Until(p.sent.begun.Add(due))) == nil
}

// one publishes one request.
func (p *publisher) one(ctx context.Context, from, n int) {
	begun := time.Now()
	status, err := p.post(ctx, from, n, begun)
	switch {
	case err != nil || status != http.StatusAccepted && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
		p.sent.failed.Add(int64(n))
		text := fmt.Sprintf("status %d, %v", status, err)
		p.sent.fault.Store(&text)
	case status != http.StatusAccepted:
		p.sent.refused.Add(int64(n))
	default:
		for i := from; i < from+n; i++ {
			p.mine = append(p.mine, i)
		}
		p.micros = append(p.micros, uint32(time.Since(begun).Microseconds()))
	}
}

func (p *publisher) post(ctx context.Context, from, n int, at time.Time) (int, error) {
	target, body := p.to.url, stamped(p.payload, at)
	if p.batch > 0 {
		target, body = target+"/batch", p.pack(from, n, at)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, values := range p.to.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	if p.batch == 0 {
		r.Header.Set(headerType, p.eventType)
		r.Header.Set(headerID, p.id(from))
	}
	if p.tenants > 0 {
		r.Header.Set(headerTenant, tenantName(from%p.tenants))
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

func (p *publisher) id(n int) string { return p.load.run + "-" + strconv.Itoa(n) }

// pack makes the body of a batch.
func (p *publisher) pack(from, n int, at time.Time) []byte {
	payload := stamped(p.payload, at)
	b := slices.Grow([]byte{'['}, n*(len(payload)+100))
	for i := from; i < from+n; i++ {
		if i > from {
			b = append(b, ',')
		}
		b = append(b, `{"eventType":"`...)
		b = append(b, p.eventType...)
		b = append(b, `","id":"`...)
		b = append(b, p.id(i)...)
		b = append(b, `","payload":`...)
		b = append(b, payload...)
		b = append(b, '}')
	}
	return append(b, ']')
}
