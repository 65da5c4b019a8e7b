package postrider

import "strings"

// Headers that a target must not set: the message's own, and those that belong to the connection (RFC 9110, 7.6.1).
var reservedHeaders = map[string]bool{
	"host": true, "connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true,
	"proxy-authorization": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"content-length": true, "content-type": true, "user-agent": true, "expect": true, "http2-settings": true,
}

// CheckHeaders refuses headers that a target must not have: reserved names (webhook-*, postrider-*, Host, hop-by-hop
// ones, and those that Postrider sets itself), names that are no tokens, values with control characters, too many.
func CheckHeaders(headers map[string]string) error {
	var faults Faults
	if len(headers) > MaxTargetHeaders {
		faults.Addf("headers", "has %d entries; at most %d are allowed", len(headers), MaxTargetHeaders)
	}
	total := 0
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
		total += len(name) + len(value)
		lower := strings.ToLower(name)
		if fault := headerFault(lower, value, seen[lower]); fault != "" {
			faults.Addf("headers."+clip(name), "%s", fault)
		}
		seen[lower] = true
	}
	if total > MaxHeaderBytes {
		faults.Addf("headers", "have %d bytes; at most %d are allowed", total, MaxHeaderBytes)
	}
	return faults.Err()
}

func headerFault(lower, value string, twice bool) string {
	switch {
	case twice:
		return "is given twice"
	case !within(lower, 256, isTokenByte):
		return "is no header name (RFC 9110, 5.1)"
	case reservedHeaders[lower], strings.HasPrefix(lower, "webhook-"), strings.HasPrefix(lower, "postrider-"):
		return "is set by Postrider or belongs to the connection; choose another name"
	case !isHeaderValue(value):
		return "has a value with control characters or blanks at its ends"
	}
	return ""
}

func isTokenByte(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }

func isHeaderValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(v, " \t") == v
}
