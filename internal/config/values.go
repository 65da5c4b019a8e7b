package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize reads a number of bytes: "1024", "128KiB", "16MiB", "1GiB", or the decimal kB, MB, GB.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGTikbmgt")
	unit, ok := sizeUnits[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || digits[0] == '+' || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no size; write it as 128KiB, 16MiB or 1GiB", s)
	}
	return n * unit, nil
}

var sizeUnits = map[string]int64{
	"": 1, "b": 1,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// ParseDuration reads a duration as time.ParseDuration does, and days before it: "30d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is no duration; write it as 15s, 2m30s, 24h or 30d", s)
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, wrong
		}
		return d, nil
	}
	n, err := strconv.ParseUint(days, 10, 15)
	if err != nil {
		return 0, wrong
	}
	d := time.Duration(0)
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil || d < 0 || d >= 24*time.Hour {
			return 0, wrong
		}
	}
	return time.Duration(n)*24*time.Hour + d, nil
}

// formatDuration writes whole days as days.
func formatDuration(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formatSize writes a size in its largest whole binary unit.
func formatSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// duration reads a duration within limits.
func (r *reader) duration(name, s string, least, most time.Duration) time.Duration {
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		r.faultf(name, s, "is no duration; write it as 15s, 2m30s, 24h or 30d")
	case d < least || d > most:
		r.faultf(name, s, "must be %s to %s", formatDuration(least), formatDuration(most))
	}
	return d
}

// size reads a size within limits.
func (r *reader) size(name, s string, least, most int64) int64 {
	n, err := ParseSize(s)
	switch {
	case err != nil:
		r.faultf(name, s, "is no size; write it as 128KiB, 16MiB or 1GiB")
	case n < least && most == math.MaxInt64:
		r.faultf(name, s, "must be at least %s", formatSize(least))
	case n < least || n > most:
		r.faultf(name, s, "must be %s to %s", formatSize(least), formatSize(most))
	}
	return n
}

// count reads a whole number within limits.
func (r *reader) count(name, s string, least, most int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		r.faultf(name, s, "must be a whole number, %d to %d", least, most)
	}
	return n
}

// oneOf reads one of some words.
func (r *reader) oneOf(name, s string, words ...string) string {
	for _, w := range words {
		if s == w {
			return s
		}
	}
	r.faultf(name, s, "must be %s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
	return s
}
