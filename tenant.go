package postrider

// DefaultTenant is the tenant of whatever names none.
const DefaultTenant = "default"

// MaxTenantLength is the most characters that a tenant's label has.
const MaxTenantLength = 64

// CheckTenant refuses what is no tenant's label: [A-Za-z0-9._-]{1,64}. Tenants need no registration.
func CheckTenant(tenant string) error {
	if !within(tenant, MaxTenantLength, isTenantByte) {
		return Invalid("tenant", "%q is no tenant: use 1 to %d of A-Z a-z 0-9 . _ -", clip(tenant), MaxTenantLength)
	}
	return nil
}

func isTenantByte(c byte) bool { return isAlnum(c) || c == '.' || c == '_' || c == '-' }

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// within reports whether s has 1 to limit bytes, all of them ok.
func within(s string, limit int, ok func(byte) bool) bool {
	if len(s) == 0 || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// clip shortens what an error message quotes.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
