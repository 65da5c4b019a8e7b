package egress_test

import (
	"net/netip"
	"net/url"
	"testing"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/egress"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	g := newGuard(t, egress.Options{})
	for _, good := range []string{
		"https://example.com/hooks", "http://example.com.:8080/", "https://EXAMPLE.com", "https://xn--bcher-kva.example/", "https://bücher.example/",
		"https://a_b.example", "http://93.184.216.34/", "http://[2606:2800:220:1::1]:8443/x", "http://localhost.example/", "http://x0x.example/",
		"http://1.example/", "http://0x.io/",
	} {
		if err := g.CheckURL(t.Context(), good, false); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	// Odd notations are refused for all, since two programs may read them differently.
	for _, odd := range []string{
		"http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0X7F.0.0.1/", "http://017700000001/", "http://0177.0.0.1/", "http://127.1/",
		"http://127.0.1/", "http://010.0.0.1/", "http://127.0.0.01/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://foo.1/", "http://foo.0x/",
		"http://[::ffff:127.0.0.1]/", "http://[::ffff:8.8.8.8]/", "http://[fe80::1%25eth0]/", "http://[2606:2800:220:1::1%251]/",
		"http://2130706433./", "http://１２７.1/",
		"http://a..b/", "http://-%20-/", "http://exa!mple/", "http://./", "ftp://example.com/", "http://user@example.com/",
	} {
		for _, allowPrivate := range []bool{false, true} {
			if err := g.CheckURL(t.Context(), odd, allowPrivate); postrider.CodeOf(err) != postrider.CodeInvalid {
				t.Errorf("%s, allowPrivate %v: %v", odd, allowPrivate, err)
			}
		}
	}
	for _, private := range []string{
		"http://127.0.0.1/", "http://127.0.0.1./", "http://localhost/", "http://LOCALHOST.:80/", "http://api.localhost/", "http://[::1]/", "http://10.0.0.1/",
		"http://１２７.０.０.１/", "http://127。0。0。1/", "http://ｌｏｃａｌｈｏｓｔ/",
	} {
		if err := g.CheckURL(t.Context(), private, false); postrider.CodeOf(err) != postrider.CodeInvalid {
			t.Errorf("%s: %v", private, err)
		}
		if err := g.CheckURL(t.Context(), private, true); err != nil {
			t.Errorf("%s with allowPrivate: %v", private, err)
		}
	}
	loopback := newGuard(t, egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if err := loopback.CheckURL(t.Context(), "http://localhost:9000/", false); err != nil {
		t.Errorf("localhost with loopback allowed: %v", err)
	}
}

// FuzzCheckURL: what passes and is a literal address, as net/http reads it, is public.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"http://0x7f.1/", "http://[::1]", "http://127。0。0。1/", "http://example.com./", "http://localhost"} {
		f.Add(seed)
	}
	g, err := egress.New(egress.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if g.CheckURL(t.Context(), raw, false) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("%q passed and is no URL", raw)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.Is4In6() || !addr.IsGlobalUnicast()) {
			t.Fatalf("%q passed", raw)
		}
	})
}
