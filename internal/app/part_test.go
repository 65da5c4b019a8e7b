package app

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func untilEnd(ctx context.Context) error { <-ctx.Done(); return nil }

func TestPartsStop(t *testing.T) {
	t.Parallel()
	failed := make(chan *part, 2)
	a, b := start(t.Context(), "a", failed, untilEnd), start(t.Context(), "b", failed, untilEnd)
	if errs := stop(t.Context(), a, b); len(errs) != 0 {
		t.Errorf("a clean stop: %v", errs)
	}
	if len(failed) != 0 {
		t.Error("a stopped part counts as failed")
	}
}

func TestPartThatEndsByItselfIsToldOf(t *testing.T) {
	t.Parallel()
	failed := make(chan *part, 2)
	boom := errors.New("boom")
	p := start(t.Context(), "broken", failed, func(context.Context) error { return boom })
	if got := <-failed; got != p || !errors.Is(got.err, boom) || !strings.Contains(got.err.Error(), "broken") {
		t.Errorf("got %v", got.err)
	}
	q := start(t.Context(), "quiet", failed, func(context.Context) error { return nil })
	if got := <-failed; got != q || got.err == nil {
		t.Error("a part that ends without a reason is no fault")
	}
}

func TestPartThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs := start(t.Context(), "hangs", make(chan *part, 1), func(context.Context) error { <-release; return nil })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	errs := stop(ended, hangs)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "hangs") {
		t.Errorf("got %v", errs)
	}
	close(release)
	<-hangs.done
}
