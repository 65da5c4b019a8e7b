package steady_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/steady"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		logger := slog.New(slog.NewTextHandler(&out, nil))
		var b steady.Backoff
		begin := time.Now()
		for range 12 {
			b.After(t.Context(), logger, "queue", errors.New("away"))
		}
		// 50 ms, doubled up to 5 s: 50+100+200+400+800+1600+3200, then five times 5 s.
		if got, want := time.Since(begin), 31350*time.Millisecond; got != want {
			t.Errorf("12 pauses took %v, want %v", got, want)
		}
		if n := strings.Count(out.String(), "away; trying"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		b.Reset()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin = time.Now()
		b.After(ctx, logger, "queue", errors.New("away"))
		if time.Since(begin) != 0 {
			t.Error("a pause outlasts its context")
		}
		if n := strings.Count(out.String(), "away; trying"); n != 1 {
			t.Error("what a stop made fail is logged")
		}
	})
}

func TestOutlast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		work, done := steady.Outlast(ctx, time.Minute)
		defer done()
		early, doneEarly := steady.Outlast(ctx, time.Hour)
		stop()
		begin := time.Now()
		<-work.Done()
		if time.Since(begin) != time.Minute {
			t.Errorf("ended after %v", time.Since(begin))
		}
		doneEarly()
		<-early.Done()
		if time.Since(begin) != time.Minute {
			t.Error("the end of the work does not end its context")
		}
	})
}
