// Package stack holds black-box tests on real servers: the real binary as several processes, one role each, that share Kafka
// (events and outcomes), SQS, S3 and PostgreSQL. stack/stack starts the servers; where the environment does not name them
// the tests are skipped, or fail if POSTRIDER_STACK is "required".
//
// Faults are injected under load, and the ledgers of producer and receiver are compared: everything acknowledged arrives, with
// the bytes that were sent, and twins stay within the bound that docs/delivery.md states for the fault.
package stack

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/stacktest"
	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) {
	if missing() != "" && !stacktest.Required() {
		os.Exit(m.Run()) // all is skipped: no binary is needed
	}
	os.Exit(harness.Main(m))
}

// variables are those that name the servers: see stack/README.md.
var variables = []string{"STACK_KAFKA", "STACK_KAFKA_PROXIED_PORT", "STACK_KAFKA_PROXY_PORT", "STACK_REGISTRY", "STACK_PG",
	"AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "STACK_DATA"}

// missing names the first variable that is not set, or "".
func missing() string {
	for _, v := range variables {
		if os.Getenv(v) == "" {
			return v
		}
	}
	return ""
}

// needServers skips a test where the servers are not named.
func needServers(t *testing.T) {
	t.Helper()
	if v := missing(); v != "" {
		stacktest.Missing(t, v+" is not set: stack/stack up, then eval \"$(stack/stack env)\"")
	}
}
