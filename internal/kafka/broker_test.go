package kafka

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
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

// TestOnKafka runs on the broker at STACK_KAFKA. Where POSTRIDER_STACK is "required", its absence is a failure.
func TestOnKafka(t *testing.T) {
	t.Parallel()
	broker := os.Getenv("STACK_KAFKA")
	if broker == "" {
		if os.Getenv("POSTRIDER_STACK") == "required" {
			t.Fatal("POSTRIDER_STACK=required, but STACK_KAFKA names no broker")
		}
		t.Skip("STACK_KAFKA names no broker: start one, and set it to host:port")
	}
	for name, run := range onAnyBroker {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, "kafka://"+broker+"/test-"+strings.ToLower(rand.Text())+"-")
		})
	}
}
