package egress

import (
	"net/netip"

	"code.dny.dev/ssrf"

	"github.com/postrider/postrider"
)

// newRanges makes the table of what is public: IANA's special-purpose registries, and everything of IPv6 outside of global
// unicast, are refused, save what is allowed.
func newRanges(allow []netip.Prefix) (*ssrf.Guardian, error) {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		switch {
		case !p.IsValid():
			return nil, postrider.Invalid("allowTargets", "holds a range that is none")
		case p.Addr().Is4In6():
			return nil, postrider.Invalid("allowTargets", "%v is an IPv4 range in IPv6 notation: write it as IPv4", p)
		case p.Addr().Is4():
			v4 = append(v4, p.Masked())
		default:
			v6 = append(v6, p.Masked())
		}
	}
	return ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)), nil
}

// vet refuses an address that targets may not have. It takes an IPv4 address in IPv6 notation as what the system would
// connect to: the IPv4 address.
func (g *Guard) vet(addr netip.Addr) error {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.Zone() != "" {
		return forbidden(postrider.Errorf(postrider.CodeForbidden, "%v has a zone, or is no address", addr))
	}
	if err := g.ranges.SafeAddr(addr); err != nil {
		return forbidden(err)
	}
	// An allowed NAT64 range must not lead back to what is refused.
	if ssrf.IPv6NAT64Prefix.Contains(addr) {
		b := addr.As16()
		if err := g.ranges.SafeAddr(netip.AddrFrom4([4]byte(b[12:]))); err != nil {
			return forbidden(err)
		}
	}
	return nil
}

// forbidden keeps the address out of the message: a tenant must not learn what an internal name resolves to.
func forbidden(cause error) error {
	return postrider.Errorf(postrider.CodeForbidden, "the target's address is not public and not allowed: %w", cause)
}
