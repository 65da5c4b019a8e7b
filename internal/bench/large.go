package bench

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Sizes and targets of large payloads.
const (
	largeSize    = 10 << 20
	largeTargets = 40
	largeRSS     = 200 // MiB
	floodSize    = 16 << 20
	memoryBudget = 256 << 20 // the default of serve
)

// large sends one large event to many targets, then many large ones at once.
func large(r *run) error {
	sink, s, err := r.subscribed(largeTargets)
	if err != nil {
		return err
	}
	s.stop() // so that all is in the file
	before := r.fileSize()
	if s, err = r.serve(); err != nil {
		return err
	}
	m, err := r.measure(sink, load{to: s.endpoint(), eventType: r.kind, publishers: 1, payload: newPayload(largeSize), most: 1}, largeTargets)
	if err != nil {
		return err
	}
	used, known := s.usage()
	s.stop()
	r.atMost("10 MB to 40 targets: growth of the file ÷ payload", float64(r.fileSize()-before)/largeSize, "ratio", 1.1)
	if known {
		r.atMost("10 MB to 40 targets: peak RSS", mib(used.peak), "MiB", largeRSS)
	}
	r.figure("10 MB to 40 targets: published to last receipt", m.tally.Last.Sub(m.sent.begun).Seconds(), "s")
	if s, err = r.serve(); err != nil {
		return err
	}
	return r.flood(s)
}

// flood publishes more at once than the memory budget takes.
func (r *run) flood(s *system) error {
	s.resetPeak()
	before, known := s.usage()
	const most = memoryBudget / floodSize
	var accepted, refused, told, cut, other atomic.Int64
	body, client := newPayload(floodSize-1), newHTTP()
	var group sync.WaitGroup
	for range publishers {
		group.Go(func() {
			status, header := r.post(client, s.endpoint(), "bench.nobody.v1", body)
			switch status {
			case http.StatusAccepted:
				accepted.Add(1)
			case http.StatusServiceUnavailable:
				refused.Add(1)
				if header.Get("Retry-After") != "" {
					told.Add(1)
				}
			case 0:
				cut.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	group.Wait()
	r.atLeast("64 × 16 MiB at once: accepted", float64(accepted.Load()), "", most*3/4) // a tenant that is alone leaves a quarter to others
	r.figure("64 × 16 MiB at once: 503", float64(refused.Load()), "")
	r.atLeast("64 × 16 MiB at once: share of the 503 with Retry-After", ratio(told.Load(), refused.Load()), "ratio", 1)
	r.atMost("64 × 16 MiB at once: other answers", float64(other.Load()), "", 0)
	r.figure("64 × 16 MiB at once: connection closed while sending", float64(cut.Load()), "")
	if after, _ := s.usage(); known {
		r.atMost("64 × 16 MiB at once: peak RSS above the RSS before", mib(after.peak-before.rss), "MiB", memoryBudget>>20)
	}
	return nil
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// post publishes one event and returns the answer's status, 0 if there was none, and header.
func (r *run) post(client *http.Client, to endpoint, eventType string, body []byte) (int, http.Header) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, to.url, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil
	}
	for name, values := range to.header {
		req.Header[name] = values
	}
	req.Header.Set(headerType, eventType)
	answer, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header
}

// fileSize is the size of the data folder's files, in bytes, without the log that SQLite writes ahead.
func (r *run) fileSize() (n int64) {
	entries, err := os.ReadDir(filepath.Join(r.dir, "data"))
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasSuffix(e.Name(), "-wal") && !strings.HasSuffix(e.Name(), "-shm") {
			n += info.Size()
		}
	}
	return n
}
