package harness

import (
	"os"
	"slices"
	"testing"
)

// Measures reports whether this run measures (POSTRIDER_MEASURE=1), on a machine that does nothing else: more is sampled then, and ratios
// are held. In any other run they are printed, since what else the machine does is in them.
func Measures() bool { return os.Getenv("POSTRIDER_MEASURE") == "1" }

// Hold prints the median of the ratios of alternating pairs, and fails a test that measures if it is above the most that is allowed. It
// sorts them.
func Hold(t *testing.T, what string, ratios []float64, most float64) {
	t.Helper()
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	t.Logf("%s: with ÷ without, median of %d pairs: %.2f (%.2f), at most %.2f", what, len(ratios), median, ratios, most)
	if Measures() && median > most {
		t.Errorf("%s: %.2f times as much as without, at most %.2f are allowed", what, median, most)
	}
}
