package config_test

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "128KiB": 128 << 10, "128kib": 128 << 10, "16MiB": 16 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"5kB": 5000, "5MB": 5e6, "3GB": 3e9,
	} {
		if got, err := config.ParseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "KiB", "-1", "+1", "1.5MiB", "1 MiB", "9999999999TiB", "1KiBB", "0x10", "1PiB"} {
		if got, err := config.ParseSize(s); err == nil {
			t.Errorf("%q is taken for %d", s, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"0": 0, "15s": 15 * time.Second, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "100ms": 100 * time.Millisecond,
	} {
		if got, err := config.ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "15", "-1s", "1d-1s", "1.5d", "1d24h", "99999d", "1d1d", "soon"} {
		if got, err := config.ParseDuration(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "1d12h", "16MiB", "1.5h", "9223372036854775807", "9223372036854775807KiB", "é", "32767d23h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := config.ParseSize(s); err == nil && n < 0 {
			t.Errorf("size %q is %d", s, n)
		}
		if d, err := config.ParseDuration(s); err == nil && d < 0 {
			t.Errorf("duration %q is %v", s, d)
		}
		if key, err := config.ParseSecretKey(s); err == nil && len(key) != 32 {
			t.Errorf("key %q has %d bytes", s, len(key))
		}
	})
}
