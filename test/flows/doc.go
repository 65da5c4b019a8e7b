// Package flows holds black-box runs that must go the same way on one machine and on real servers: each drives a system through
// its public interface, and leaves it running. On a system of several processes Server.Settle waits until all have heard of a
// change.
package flows

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

// Run is one flow, and the settings of the system that it needs.
type Run struct {
	Drive    func(t *testing.T, s *harness.Server)
	Settings []string
}

// All are the flows by name.
func All() map[string]Run {
	return map[string]Run{
		"Flow":                                {Flow, nil},
		"LargePayloads":                       {LargePayloads, nil},
		"Batch":                               {Batch, nil},
		"RetryThenDelivered":                  {RetryThenDelivered, Fast},
		"ExhaustedThenReplay":                 {ExhaustedThenReplay, ShortWindow},
		"Tenants":                             {Tenants, nil},
		"RotatedSecretHoldsForRetries":        {RotatedSecretHoldsForRetries, Fast},
		"ChangedURLHoldsForRetries":           {ChangedURLHoldsForRetries, Fast},
		"DeactivatedAndDeletedHoldForRetries": {DeactivatedAndDeletedHoldForRetries, Fast},
		"TurnedOffToldAndEnabled":             {TurnedOffToldAndEnabled, Fast},
	}
}

// Settings of the systems that flows run on.
var (
	Fast        = []string{"--retry-base", "100ms", "--retry-max", "400ms"}
	ShortWindow = []string{"--retry-base", "100ms", "--retry-max", "200ms", "--retry-window", "11s", "--timeout", "10s"}
)

var (
	payload   = harness.Payload
	verify    = harness.Verify
	sameBytes = harness.SameBytes
	statuses  = harness.Statuses
)

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func contains(body []byte, text string) bool { return bytes.Contains(body, []byte(text)) }
