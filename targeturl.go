package postrider

import (
	"net/url"
	"strconv"
	"strings"
)

// CheckURL refuses what a target's url must not be: anything but an absolute http or https URL with a host, without
// userinfo and fragment, of at most 2,048 characters, whose query is percent-encoded.
func CheckURL(raw string) error {
	if raw == "" {
		return Invalid("url", "is missing: give the http or https URL that messages are sent to")
	}
	if len(raw) > MaxURLLength {
		return Invalid("url", "has %d characters; at most %d are allowed", len(raw), MaxURLLength)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Invalid("url", "is no URL: use one such as https://example.com/hooks")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Invalid("url", "must begin with http:// or https://")
	case u.Opaque != "" || u.Hostname() == "":
		return Invalid("url", "has no host: use one such as https://example.com/hooks")
	case u.User != nil:
		return Invalid("url", "must not carry a user or password: use headers")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return Invalid("url", "must not have a fragment (#…): it would never be sent")
	}
	if strings.IndexFunc(u.RawQuery, func(c rune) bool { return c <= ' ' || c >= 0x7f }) >= 0 { // net/url encodes a path, not a query
		return Invalid("url", "has a query with blanks or characters beyond ASCII: they must be percent-encoded")
	}
	return checkPort(u)
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return Invalid("url", "has an empty port")
		}
		return nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return Invalid("url", "has port %s; it must be 1 to 65535", clip(port))
	}
	return nil
}
