// Package crash kills the real binary under load, at random moments, and compares the ledgers of producer and receiver.
//
// What must hold:
//   - every event that got a 202 arrives, with the bytes that were sent;
//   - nothing arrives that was not sent;
//   - twins stay within their bound. A kill can make a twin of a delivery whose attempt was in flight (at most
//     max-in-flight), or whose message had been answered while its outcome, or the position of its event, was not durable
//     yet. Outcomes are durable with the next group commit; positions at most 1 s or 1,000 events later. So a kill makes at
//     most max-in-flight twins, plus one for each delivery answered in the second before it, at most 1,000 events' worth.
//     Nothing but a kill makes a twin: the second copy arrives after the kill that ended the round of its event. (Both
//     may: one from the queue, one from the event that is read again);
//   - at the end every delivery of an accepted event is in one final state, delivered.
//
// The same holds while a backlog drains.
package crash

import (
	"crypto/sha256"
	"flag"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

const (
	maxInFlight = 64
	targets     = 2
	publishers  = 6
	commitEvery = time.Second // positions are durable at most this much later
)

// settings keep retries short, so that the end of the test is near.
var settings = []string{"--max-in-flight", "64", "--target-max-in-flight", "64", "--retry-base", "100ms", "--retry-max", "1s", "--log-level", "warn"}

func TestKill(t *testing.T) {
	t.Parallel()
	kills := 22
	if testing.Short() {
		kills = 5
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	data := t.TempDir()
	receiver := harness.NewReceiver(t, answer)
	p := &producer{}
	s := harness.Start(t, data, settings...)
	for i := range targets {
		path := []string{"/a", "/b"}[i]
		target := s.Target(t, receiver.URL+path)
		s.Subscribe(t, target.ID, []string{"crash.*"})
	}

	killed := make([]time.Time, 0, kills) // when each process had ended; round n ends with killed[n]
	for len(killed) < kills {
		stop := p.start(t, s, publishers, len(killed))
		pause := time.Duration(50+random.IntN(600)) * time.Millisecond
		<-time.After(pause) // a kill at a random moment is the point; nothing is asserted about the time
		s.Kill()
		killed = append(killed, time.Now())
		stop()
		s = harness.Start(t, data, settings...)
	}

	accepted := p.accepted()
	t.Logf("%d events accepted, %d without an answer, %d kills", len(accepted), len(p.unsure()), kills)
	if len(accepted) < kills {
		t.Fatalf("only %d events were accepted: the load is none", len(accepted))
	}
	messages := receiver.Await(t, "every accepted event at every target", func(all []harness.Message) bool {
		return complete(all, accepted)
	})
	checkBytes(t, messages, p)

	list := s.AwaitDeliveries(t, "", func(list []harness.Delivery) bool { return allDelivered(list, accepted) })
	checkStates(t, list, p)
	checkTwins(t, receiver.Messages(), killed, p)
	s.StopCleanly(t)
	deliveriesAfter := len(list)
	s = harness.Start(t, data, settings...)
	if again := s.Deliveries(t, ""); len(again) < deliveriesAfter {
		t.Errorf("%d deliveries before the last restart, %d after it", deliveriesAfter, len(again))
	}
}

// answer refuses some first attempts, so that retries are killed too.
func answer(m *harness.Message, _ http.ResponseWriter) int {
	if m.Attempt == 1 && sha256.Sum256([]byte(m.ID))[0] < 16 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// complete reports whether every accepted event was taken by every target.
func complete(all []harness.Message, accepted map[string]bool) bool {
	taken := map[string]map[string]bool{}
	for _, m := range all {
		if m.Status == http.StatusOK {
			if taken[m.ID] == nil {
				taken[m.ID] = map[string]bool{}
			}
			taken[m.ID][m.Path] = true
		}
	}
	for id := range accepted {
		if len(taken[id]) < targets {
			return false
		}
	}
	return true
}

// checkBytes compares what arrived with what was sent.
func checkBytes(t *testing.T, messages []harness.Message, p *producer) {
	t.Helper()
	for _, m := range messages {
		digest, sent := p.sent(m.ID)
		switch {
		case !sent:
			t.Errorf("%s was never sent", m.ID)
		case digest != m.Digest:
			t.Errorf("%s arrived with other bytes, %d of them", m.ID, m.Size)
		}
	}
}

// checkStates holds that each delivery is there once and that all of them ended well.
func checkStates(t *testing.T, list []harness.Delivery, p *producer) {
	t.Helper()
	type key struct {
		event  string
		target int64
	}
	seen := map[key]bool{}
	for _, d := range list {
		k := key{d.EventID, d.TargetID}
		if seen[k] {
			t.Errorf("%s has two deliveries to %d", d.EventID, d.TargetID)
		}
		seen[k] = true
		if _, sent := p.sent(d.EventID); !sent {
			t.Errorf("there is a delivery of %s, which was never sent", d.EventID)
		}
	}
}

func allDelivered(list []harness.Delivery, accepted map[string]bool) bool {
	n := 0
	for _, d := range list {
		if d.State != "delivered" {
			return false
		}
		if accepted[d.EventID] {
			n++
		}
	}
	return n == targets*len(accepted)
}

// checkTwins counts messages that were taken twice, and holds them against their cause and the bound.
func checkTwins(t *testing.T, messages []harness.Message, killed []time.Time, p *producer) {
	t.Helper()
	taken := map[string]bool{}
	twins := 0
	for _, m := range messages {
		if m.Status != http.StatusOK {
			continue
		}
		key := m.Path + " " + m.ID
		if taken[key] {
			twins++
			if !m.At.After(killed[p.round(m.ID)]) {
				t.Errorf("%s arrived twice without a kill", key)
			}
		}
		taken[key] = true
	}
	bound := 0
	for _, at := range killed {
		recent := 0
		for _, m := range messages {
			if m.Status == http.StatusOK && m.At.Before(at) && at.Sub(m.At) <= commitEvery {
				recent++
			}
		}
		bound += maxInFlight + min(recent, 1000*targets)
	}
	t.Logf("%d deliveries, %d twins, at most %d allowed", len(taken), twins, bound)
	if twins > bound {
		t.Errorf("%d twins, over the bound of %d", twins, bound)
	}
}
