package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// patience is how long nothing may arrive until what is missing is given up. On a queue whose leases outlast a process, what
// one has taken and lost comes again only when its lease ends: by default after a minute.
const (
	patience       = 30 * time.Second
	remotePatience = 3 * time.Minute
)

// remoteSink is the receiver's process as the bench sees it.
type remoteSink struct {
	*process
	r    *run
	http *http.Client
	runs int
}

// startSink starts the receiver.
func (r *run) startSink() (*remoteSink, error) {
	p, err := r.start(nil, "bench-child", string(ChildSink))
	if err != nil {
		return nil, err
	}
	return &remoteSink{process: p, r: r, http: newHTTP()}, nil
}

// target is the URL of target n.
func (s *remoteSink) target(n int) string { return s.url + "/t/" + strconv.Itoa(n) }

// open begins a measurement and returns the prefix of its ids.
func (s *remoteSink) open(events, fan int) (string, error) {
	s.runs++
	run := "bench" + strconv.Itoa(s.runs)
	_, err := s.call(http.MethodPost, "/control/open", url.Values{"run": {run}, "events": {strconv.Itoa(events)}, "fan": {strconv.Itoa(fan)}})
	return run, err
}

// mode says how messages are answered from now on.
func (s *remoteSink) mode(delay time.Duration, status int) error {
	_, err := s.call(http.MethodPost, "/control/mode", url.Values{"delay": {delay.String()}, "status": {strconv.Itoa(status)}})
	return err
}

// tally asks what has arrived.
func (s *remoteSink) tally() (t tally, err error) {
	raw, err := s.call(http.MethodGet, "/control/tally", nil)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	return t, err
}

// seen asks for the ledger.
func (s *remoteSink) seen() (bitmap, error) {
	raw, err := s.call(http.MethodGet, "/control/seen", nil)
	b := make(bitmap, len(raw)/8)
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(raw[i*8:])
	}
	return b, err
}

// await waits until n deliveries have arrived, or nothing has for long, and returns the tally.
func (s *remoteSink) await(n int64) (tally, error) {
	var last int64
	moved := time.Now()
	for {
		t, err := s.tally()
		if err != nil || t.Distinct >= n {
			return t, err
		}
		if t.Distinct+t.Turned != last {
			last, moved = t.Distinct+t.Turned, time.Now()
		}
		limit := patience
		if s.r.Remote {
			limit = remotePatience
		}
		if time.Since(moved) > limit {
			return t, nil // the ledger tells what is missing
		}
		if err := pause(s.r.ctx, 20*time.Millisecond); err != nil {
			return t, err
		}
	}
}

func (s *remoteSink) call(method, path string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.r.ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path+"?"+form.Encode(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the receiver: %w", err)
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
