package kafka

import (
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/postrider/postrider"
)

// PasswordVariable is the environment variable of the password.
const PasswordVariable = "POSTRIDER_KAFKA_PASSWORD"

// Ways to authenticate.
const (
	saslPlain       = "plain"
	saslSHA256      = "scram-sha-256"
	saslSHA512      = "scram-sha-512"
	saslOAuthBearer = "oauthbearer"
	saslMSKIAM      = "aws-msk-iam"
)

const parameters = "group, registry, start, dead, partitions, replication, sasl, password-file, ca, cert, key"

// location is what a kafka:// or kafka+tls:// URL names.
type location struct {
	brokers     []string
	topic       string
	group       string
	registry    string // "": schemas are not looked up
	latest      bool   // where a new group begins
	dead        string // topic of dead letters
	partitions  int32  // of a topic that is made; -1: the broker's default
	replication int16  // of a topic that is made; -1: the broker's default

	tls            bool
	ca, cert, key  string // files
	sasl           string
	user, password string
	passwordFile   string // "": the password came from the environment
}

var topicRE = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// CheckURL tells what is wrong with a URL, every fault of it, without opening anything. The error is CodeInvalid.
func CheckURL(field, raw string) error {
	_, err := parseURL(field, raw)
	return err
}

// parseURL reads a URL; field names the setting in faults. Every fault is named; none shows the password.
func parseURL(field, raw string) (location, error) {
	u, err := url.Parse(splitHosts(raw))
	if err != nil || u.Scheme != "kafka" && u.Scheme != "kafka+tls" {
		return location{}, postrider.Invalid(field, "it is no URL such as kafka://127.0.0.1:9092/events")
	}
	var faults postrider.Faults
	q := u.Query()
	l := location{topic: strings.Trim(u.Path, "/"), tls: u.Scheme == "kafka+tls", registry: q.Get("registry"), sasl: q.Get("sasl"),
		group: q.Get("group"), dead: q.Get("dead"), ca: q.Get("ca"), cert: q.Get("cert"), key: q.Get("key"), partitions: -1, replication: -1}
	for name := range q {
		if !strings.Contains(", "+parameters+",", " "+name+",") {
			faults.Addf(field, "%s is no parameter of a kafka URL: use %s", name, parameters)
		}
	}
	hosts, _ := unsplitHosts(raw)
	l.parseBrokers(field, hosts, &faults)
	l.parseTopics(field, q, &faults)
	l.parseSASL(field, u, q, &faults)
	if !l.tls && (l.ca != "" || l.cert != "" || l.key != "") {
		faults.Addf(field, "ca, cert and key need kafka+tls://")
	}
	if (l.cert == "") != (l.key == "") {
		faults.Addf(field, "cert and key go together")
	}
	return l, faults.Err()
}

// unsplitHosts returns the part between "//" (or the user) and the path, and where it lies in raw.
func unsplitHosts(raw string) (hosts string, at [2]int) {
	start := strings.Index(raw, "//")
	if start < 0 {
		return "", at
	}
	start += 2
	end := len(raw)
	if i := strings.IndexAny(raw[start:], "/?#"); i >= 0 {
		end = start + i
	}
	if i := strings.LastIndexByte(raw[start:end], '@'); i >= 0 {
		start += i + 1
	}
	return raw[start:end], [2]int{start, end}
}

// splitHosts leaves the first host, since net/url takes one only.
func splitHosts(raw string) string {
	hosts, at := unsplitHosts(raw)
	if first, _, several := strings.Cut(hosts, ","); several {
		return raw[:at[0]] + first + raw[at[1]:]
	}
	return raw
}

func (l *location) parseBrokers(field, hosts string, faults *postrider.Faults) {
	for host := range strings.SplitSeq(hosts, ",") {
		if _, port, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), "9092")
		} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			faults.Addf(field, "%q has no valid port", host)
		}
		if strings.HasPrefix(host, ":") {
			faults.Addf(field, "a broker is missing: use host:port[,host:port…]")
		}
		l.brokers = append(l.brokers, host)
	}
}

func (l *location) parseTopics(field string, q url.Values, faults *postrider.Faults) {
	if !topicRE.MatchString(l.topic) || l.topic == "." || l.topic == ".." {
		faults.Addf(field, "%q is no topic: use 1 to 249 of A-Z a-z 0-9 . _ -", l.topic)
	}
	if l.group == "" {
		l.group = "postrider-" + l.topic
	}
	if l.dead == "" {
		l.dead = l.topic + "-dead"
	}
	if named := q.Get("dead") != ""; named && !topicRE.MatchString(l.dead) || l.dead == l.topic {
		faults.Addf(field, "dead=%s: use another topic, of A-Z a-z 0-9 . _ -", l.dead)
	}
	switch q.Get("start") {
	case "", "earliest":
	case "latest":
		l.latest = true
	default:
		faults.Addf(field, "start=%s: use earliest or latest", q.Get("start"))
	}
	if r, err := url.Parse(l.registry); l.registry != "" && (err != nil || r.Scheme != "http" && r.Scheme != "https" || r.Host == "") {
		faults.Addf(field, "registry: use a URL such as http://127.0.0.1:8081")
	}
	if n := positive(field, "partitions", q, faults); n > 0 {
		l.partitions = int32(n)
	}
	if n := positive(field, "replication", q, faults); n > 0 {
		l.replication = int16(n)
	}
}

// positive reads a parameter that counts; 0: it is not there.
func positive(field, name string, q url.Values, faults *postrider.Faults) uint64 {
	s := q.Get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 15)
	if err != nil || n == 0 {
		faults.Addf(field, "%s=%s: use a number from 1", name, s)
	}
	return n
}

func (l *location) parseSASL(field string, u *url.URL, q url.Values, faults *postrider.Faults) {
	if u.User != nil {
		l.user = u.User.Username()
		if _, has := u.User.Password(); has {
			faults.Addf(field, "the password does not belong in the URL: use %s or password-file=", PasswordVariable)
		}
	}
	l.password = os.Getenv(PasswordVariable)
	if l.passwordFile = q.Get("password-file"); l.passwordFile != "" {
		var err error
		if l.password, err = readPassword(l.passwordFile); err != nil {
			faults.Addf(field, "password-file: %v", err)
		}
	}
	switch l.sasl {
	case "":
		if l.user != "" {
			faults.Addf(field, "a user needs sasl=: plain, scram-sha-256 or scram-sha-512")
		}
	case saslPlain, saslSHA256, saslSHA512:
		if l.user == "" {
			faults.Addf(field, "sasl=%s needs a user: kafka+tls://user@host", l.sasl)
		}
		fallthrough
	case saslOAuthBearer:
		if l.password == "" {
			faults.Addf(field, "sasl=%s needs %s or password-file=", l.sasl, PasswordVariable)
		}
	case saslMSKIAM:
	default:
		faults.Addf(field, "sasl=%s: use plain, scram-sha-256, scram-sha-512, oauthbearer or aws-msk-iam", l.sasl)
	}
}

// readPassword reads a password or token from a file, without the line's end.
func readPassword(file string) (string, error) {
	b, err := os.ReadFile(file)
	return strings.TrimRight(string(b), "\r\n"), err
}
