// Package e2e holds black-box tests: they build the real binary and drive it through its public interface alone.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// What tests on one machine and on real servers share.
var (
	payload   = harness.Payload
	sameBytes = harness.SameBytes
)

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }
