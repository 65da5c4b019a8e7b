package postrider_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider"
)

func TestTraceContext(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range [...]struct{ parent, state, want string }{
		{"", "", ""},
		{parent, "", parent},
		{parent, "vendor=1,other=2 3", parent + " vendor=1,other=2 3"},
		{parent, " vendor=1 ", parent + " vendor=1"},
		{parent, "vendor=\x00", parent},
		{parent, "v=" + strings.Repeat("x", 511), parent},
		{"", "vendor=1", ""},
		{strings.ToUpper(parent), "", ""},
		{"01" + parent[2:], "", ""},
		{parent + "-more", "", ""},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", ""},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "", ""},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01", "", ""},
	} {
		got := postrider.TraceContext(c.parent, c.state)
		if got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.parent, c.state, got, c.want)
		}
		if p, s := postrider.SplitTrace(got); postrider.TraceContext(p, s) != got {
			t.Errorf("%q splits into %q and %q", got, p, s)
		}
	}
}
