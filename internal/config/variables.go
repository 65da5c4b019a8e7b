package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Strays names the variables of an environment ("NAME=value") that look like settings and are none: those that begin with POSTRIDER_,
// have a value, and are not among the known names. A name that is near one of these comes with it. Values are not shown.
//
// What Kubernetes sets for a Service whose name begins with postrider is none of them, nor what this project's tests and tools go by.
func Strays(environ, known []string) []string {
	var strays []string
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if value == "" || !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || kubernetes.MatchString(name) || ours.MatchString(name) {
			continue
		}
		if near := nearestOf(name, known); near != "" {
			name += fmt.Sprintf(" (nearest: %s)", near)
		}
		strays = append(strays, name)
	}
	slices.Sort(strays)
	return strays
}

const prefix = "POSTRIDER_"

var (
	kubernetes = regexp.MustCompile(`^POSTRIDER_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
	ours       = regexp.MustCompile(`^POSTRIDER_(TEST_.+|STACK|STACK_CONTROL|OUTAGE|MEASURE|PG_ROWS|FUZZTIME|TOOLS)$`)
)

// nearestOf finds the known name that differs from a name in the fewest letters, if these are few.
func nearestOf(name string, known []string) string {
	best, least := "", min(len(name)-len(prefix), 12)/4+1
	for _, k := range known {
		if d := distance(name, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters that are put in, left out, changed, or swapped with their neighbour between two names.
func distance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1])
			if a[i-1] != b[j-1] {
				row[j] = min(last[j], row[j-1], last[j-1]) + 1
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					row[j] = min(row[j], before[j-2]+1)
				}
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
