package main

import (
	"testing"

	"github.com/postrider/postrider/internal/config"
)

func TestPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 1100, 4 << 20: 1100, 12 << 20: 300, 24 << 20: 100, 40 << 20: 60, 1 << 30: 60} {
		if got := percentFor(leastHeap, live, 0); got != want {
			t.Errorf("%d live: got %d, want %d", live, got, want)
		}
	}
	if got := percentFor(leastHeap, 8<<20, 32<<20); got != 100 {
		t.Errorf("with 32 MiB of stacks: got %d, want 100", got)
	}
	if got := percentFor(smallHeap, 8<<20, 0); got != 100 {
		t.Errorf("8 MiB of 16: got %d, want 100", got)
	}
}

func TestLeastOf(t *testing.T) {
	t.Parallel()
	if leastOf([]config.Role{config.RoleRetry}) != smallHeap || leastOf([]config.Role{config.RoleRetry, config.RoleDispatcher}) != leastHeap {
		t.Error("not a retry manager alone, and it alone, has a small heap")
	}
}
