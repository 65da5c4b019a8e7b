package sqs

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/postrider/postrider"
)

// location is what an sqs:// URL names.
type location struct {
	name     string
	region   string
	endpoint string // "" is AWS's
}

// A queue's name has at most 80 characters; the longest suffix takes 9 of them.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,71}$`)

// CheckURL tells what is wrong with a URL, every fault of it, without opening anything. The error is CodeInvalid.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

// parseURL reads sqs://name?region=…&endpoint=http://…. Every fault is named.
func parseURL(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "sqs" {
		return location{}, postrider.Invalid("queue", "it is no URL such as sqs://postrider?region=eu-west-1")
	}
	var faults postrider.Faults
	q := u.Query()
	l := location{name: u.Host, region: q.Get("region"), endpoint: q.Get("endpoint")}
	if !nameRE.MatchString(l.name) || strings.Trim(u.Path, "/") != "" {
		faults.Addf("queue", "%q is no name of a queue: use 1 to 71 of A-Z a-z 0-9 _ -", l.name+u.Path)
	}
	if l.endpoint != "" {
		if e, err := url.Parse(l.endpoint); err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" {
			faults.Addf("queue", "endpoint: use a URL such as http://127.0.0.1:9324")
		}
	}
	for name := range q {
		if name != "region" && name != "endpoint" {
			faults.Addf("queue", "%s is no parameter of an sqs URL: use region, endpoint", name)
		}
	}
	if u.User != nil {
		faults.Addf("queue", "credentials do not belong in the URL: they come the way the AWS SDK finds them")
	}
	return l, faults.Err()
}

// queueName is the name of a lane's queue.
func (l location) queueName(lane postrider.Lane) string {
	if lane == postrider.LaneFirst {
		return l.name
	}
	return l.name + "-" + lane.String()
}
