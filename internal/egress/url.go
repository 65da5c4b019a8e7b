package egress

import (
	"context"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider"
)

// CheckURL refuses a target's URL when it is made or changed: what [postrider.CheckURL] refuses; a literal address that
// targets may not have; an address in a notation that reads differently to different programs (2130706433, 0x7f.1, 127.1,
// 010.0.0.1, ::ffff:127.0.0.1, with a zone), whatever it stands for; and localhost. Names are not looked up: their
// addresses are vetted on every dial. With allowPrivate addresses are not vetted. Errors are CodeInvalid on field "url".
func (g *Guard) CheckURL(_ context.Context, rawURL string, allowPrivate bool) error {
	if err := postrider.CheckURL(rawURL); err != nil {
		return err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return postrider.Invalid("url", "is no URL")
	}
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return err
	}
	if isLocalhost(host) {
		return g.checkLocalhost(allowPrivate)
	}
	if !strings.Contains(host, ":") && !endsInNumber(host) {
		return checkName(host)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4In6() || addr.Zone() != "" {
		return postrider.Invalid("url", "has an IP address in an unusual notation: write it as 192.0.2.1 or [2001:db8::1]")
	}
	if !allowPrivate && g.vet(addr) != nil {
		return postrider.Invalid("url", "has the address %v, which is not public and not allowed", addr)
	}
	return nil
}

// asciiHost is a host as it will be looked up: mapped as IDNA does it (which makes digits of full-width digits and dots of
// ideographic full stops), without a dot at its end, in lower case.
func asciiHost(host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			mapped, err := idna.Lookup.ToASCII(host)
			if err != nil {
				return "", postrider.Invalid("url", "has a host that is no domain name")
			}
			host = mapped
			break
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), "."), nil
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// checkLocalhost lets localhost pass if a loopback address would.
func (g *Guard) checkLocalhost(allowPrivate bool) error {
	if allowPrivate || g.vet(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil || g.vet(netip.IPv6Loopback()) == nil {
		return nil
	}
	return postrider.Invalid("url", "has the host localhost, which is not public and not allowed")
}

// endsInNumber reports whether some program would read a host as an IPv4 address: its last label is a number, decimal or
// hexadecimal (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// checkName refuses a host that no name server knows.
func checkName(host string) error {
	if len(host) > 253 {
		return postrider.Invalid("url", "has a host of %d characters; at most 253 are allowed", len(host))
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return postrider.Invalid("url", "has a host that is no domain name")
		}
	}
	return nil
}
