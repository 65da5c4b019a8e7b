package main

import "testing"

func TestPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 1100, 4 << 20: 1100, 12 << 20: 300, 24 << 20: 100, 40 << 20: 60, 1 << 30: 60} {
		if got := percentFor(live, 0); got != want {
			t.Errorf("%d live: got %d, want %d", live, got, want)
		}
	}
	if got := percentFor(8<<20, 32<<20); got != 100 {
		t.Errorf("with 32 MiB of stacks: got %d, want 100", got)
	}
}
