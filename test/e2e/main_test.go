// Package e2e holds black-box tests: they build the real binary and drive it through its public interface alone.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// fast are settings that let failed attempts be tried again soon.
var fast = []string{"--retry-base", "100ms", "--retry-max", "400ms"}

// What tests on one machine and on real servers share.
var (
	payload   = harness.Payload
	verify    = harness.Verify
	sameBytes = harness.SameBytes
	statuses  = harness.Statuses
)

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }
