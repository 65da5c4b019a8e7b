package sqlite_test

import (
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/outcomestest"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	outcomestest.Run(t, func(t *testing.T) outcomestest.Harness {
		t.Helper()
		f := openFolder(t)
		return outcomestest.Harness{Log: f.db.Outcomes(false), Reopen: func(t *testing.T) postrider.OutcomeLog { t.Helper(); return f.crash(t).Outcomes(false) }}
	})
}

func BenchmarkOutcomes(b *testing.B) {
	for name, direct := range map[string]bool{"log": false, "direct": true} {
		b.Run(name, func(b *testing.B) {
			outcomestest.Benchmark(b, func(b *testing.B) postrider.OutcomeLog { b.Helper(); return openFolder(b).db.Outcomes(direct) })
		})
	}
}
