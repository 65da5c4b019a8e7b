package s3_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/stacktest"
)

// TestStackKill kills the server three times while payloads are put. What was acknowledged is there, whole.
func TestStackKill(t *testing.T) { //nolint:paralleltest // it kills the server
	endpoint(t)
	stack := stacktest.Control(t)
	s := open(t, fmt.Sprintf("pr-kill-%d", time.Now().UnixNano()))
	var over atomic.Bool
	var mu sync.Mutex
	put := map[string][]byte{}
	var putters sync.WaitGroup
	for worker := range 4 {
		putters.Go(func() {
			for n := 0; !over.Load(); n++ {
				key, body := fmt.Sprintf("acme/%d/%d", worker, n), bytes.Repeat([]byte{byte(worker), byte(n)}, 1000*(1+n%50))
				if s.Put(t.Context(), key, body) == nil {
					mu.Lock()
					put[key] = body
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		<-time.After(time.Second) // of load
		stack("kill", "s3")
		<-time.After(time.Second) // of outage
		stack("start", "s3")
		for s.Check(t.Context()) != nil {
			<-time.After(50 * time.Millisecond)
		}
	}
	<-time.After(time.Second) // of load
	over.Store(true)
	putters.Wait()
	for key, body := range put {
		if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d of %d bytes, %v", key, len(got), len(body), err)
		}
	}
	t.Logf("%d payloads acknowledged, all there", len(put))
	if len(put) < 20 {
		t.Errorf("%d acknowledged: no load", len(put))
	}
}
