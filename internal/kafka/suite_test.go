package kafka

import (
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/eventstest"
	"github.com/postrider/postrider/internal/outcomestest"
)

// TestEventsSuite holds the events log against the contract that every engine keeps, on a broker in this process.
func TestEventsSuite(t *testing.T) {
	t.Parallel()
	eventstest.Run(t, func(t *testing.T) eventstest.Harness {
		t.Helper()
		_, base := cluster(t)
		log := openEvents(t, base+"events?group=suite")
		return eventstest.Harness{Log: log, LargeBytes: 512 << 10, Reopen: func(t *testing.T) postrider.EventLog {
			t.Helper()
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			return openEvents(t, base+"events?group=suite")
		}}
	})
}

// TestOutcomesSuite does the same for the outcome log.
func TestOutcomesSuite(t *testing.T) {
	t.Parallel()
	outcomestest.Run(t, func(t *testing.T) outcomestest.Harness {
		t.Helper()
		_, base := cluster(t)
		log := openOutcomes(t, base+"outcomes?group=suite")
		return outcomestest.Harness{Log: log, Reopen: func(t *testing.T) postrider.OutcomeLog {
			t.Helper()
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			return openOutcomes(t, base+"outcomes?group=suite")
		}}
	})
}
