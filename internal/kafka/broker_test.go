package kafka

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/eventstest"
	"github.com/postrider/postrider/internal/outcomestest"
	"github.com/postrider/postrider/internal/stacktest"
)

// onAnyBroker are the tests that every broker must pass. url ends where a topic's name begins that is used by the test
// alone, whatever is added to it.
var onAnyBroker = map[string]func(t *testing.T, url string){
	"events come back as they were":               eventsComeBackAsTheyWere,
	"what is committed is not read again":         whatIsCommittedIsNotReadAgain,
	"partitions move without loss":                partitionsMoveWithoutLoss,
	"too large is refused whole":                  tooLargeIsRefusedWhole,
	"outcomes of one event meet in one partition": outcomesOfOneEventMeetInOnePartition,
	"outcomes are read from the position given":   outcomesAreReadFromThePositionGiven,
	"through moves while nothing comes":           throughMovesWhileNothingComes,
	"a huge fan-out is split":                     hugeFanOutIsSplit,
	"a topic is made anew under its reader":       topicMadeAnewUnderReader,
	"a topic is made anew while nobody reads":     topicMadeAnewMeanwhile,
	"a new group may begin at the latest":         startAtLatest,
	"members come and go":                         membersComeAndGo,
	"the dead-letter topic is gone":               deadLetterTopicGone,
	"suite of events":                             suiteOfEvents,
	"suite of outcomes":                           suiteOfOutcomes,
}

// suiteOfEvents reopens by closing: a member that vanished would be waited for until its session ends.
func suiteOfEvents(t *testing.T, url string) {
	t.Helper()
	eventstest.Run(t, func(t *testing.T) eventstest.Harness {
		t.Helper()
		at := url + strings.ToLower(rand.Text())
		open := func(t *testing.T) *EventLog {
			t.Helper()
			return openEvents(t, at, func(o *EventOptions) { o.MaxPayload = 0 })
		}
		l := open(t)
		return eventstest.Harness{Log: l, Reopen: func(t *testing.T) postrider.EventLog {
			t.Helper()
			if err := l.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			return open(t)
		}}
	})
}

func suiteOfOutcomes(t *testing.T, url string) {
	t.Helper()
	outcomestest.Run(t, func(t *testing.T) outcomestest.Harness {
		t.Helper()
		at := url + strings.ToLower(rand.Text())
		l := openOutcomes(t, at)
		return outcomestest.Harness{Log: l, Reopen: func(t *testing.T) postrider.OutcomeLog {
			t.Helper()
			if err := l.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			return openOutcomes(t, at)
		}}
	})
}

func TestOnKfake(t *testing.T) {
	t.Parallel()
	for name, run := range onAnyBroker {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := cluster(t)
			run(t, url)
		})
	}
}

// TestOnKafka runs on the broker at STACK_KAFKA.
func TestOnKafka(t *testing.T) {
	t.Parallel()
	broker := stacktest.Need(t, "STACK_KAFKA", "host:port of a broker")
	for name, run := range onAnyBroker {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, "kafka://"+broker+"/test-"+strings.ToLower(rand.Text())+"-")
		})
	}
}
