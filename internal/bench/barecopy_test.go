package bench

import (
	"slices"
	"testing"
)

// TestParts: the transactions of a bare COPY have each row once, in order.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5, 10} {
		var all rows
		for i := range n {
			all.values = append(all.values, []any{i})
		}
		var got []any
		for i := range 3 {
			part := all.part(i, 3)
			if len(part) > n/3+1 {
				t.Errorf("part %d of %d rows has %d", i, n, len(part))
			}
			for _, row := range part {
				got = append(got, row...)
			}
		}
		if len(got) != n || !slices.IsSortedFunc(got, func(a, b any) int { return a.(int) - b.(int) }) {
			t.Errorf("of %d rows the parts have %v", n, got)
		}
	}
}
