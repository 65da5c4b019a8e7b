// Package hostile sets receivers and clients that mean harm on the real binary, or on its real roles where a test needs to
// answer for the network.
package hostile

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
