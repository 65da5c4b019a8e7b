package s3

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/postrider/postrider"
)

// location is what an s3:// URL names.
type location struct {
	bucket    string
	prefix    string // "" or with a slash at its end
	region    string
	endpoint  string // "" is AWS's
	pathStyle bool
}

// CheckURL tells what is wrong with a URL, every fault of it, without opening anything. The error is CodeInvalid.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

// parseURL reads s3://bucket/prefix?region=…&endpoint=http://…&path-style=true. With an endpoint of its own the bucket
// travels in the path unless path-style=false. Every fault is named.
func parseURL(raw string) (location, error) {
	var faults postrider.Faults
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" {
		return location{}, postrider.Invalid("payloads", "it is no URL such as s3://bucket/prefix?region=eu-west-1")
	}
	q := u.Query()
	l := location{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), region: q.Get("region"), endpoint: q.Get("endpoint")}
	if l.prefix != "" {
		l.prefix += "/"
	}
	if l.bucket == "" {
		faults.Addf("payloads", "the URL names no bucket: s3://bucket/prefix")
	}
	l.pathStyle = l.endpoint != ""
	if s := q.Get("path-style"); s != "" {
		if l.pathStyle, err = strconv.ParseBool(s); err != nil {
			faults.Addf("payloads", "path-style=%s: use true or false", s)
		}
	}
	if l.endpoint != "" {
		if e, err := url.Parse(l.endpoint); err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" {
			faults.Addf("payloads", "endpoint: use a URL such as http://127.0.0.1:9000")
		}
	}
	for name := range q {
		if name != "region" && name != "endpoint" && name != "path-style" {
			faults.Addf("payloads", "%s is no parameter of an s3 URL: use region, endpoint, path-style", name)
		}
	}
	if u.User != nil {
		faults.Addf("payloads", "credentials do not belong in the URL: they come the way the AWS SDK finds them")
	}
	return l, faults.Err()
}
